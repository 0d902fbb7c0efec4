//! Collections that a node takes for their Reporter (protocol.md §9), as that reads what it lacks of them: one name
//! after another, while what is here stays as it is.

use std::collections::VecDeque;

use super::collection::Taken;
use super::observed::have;
use super::taking::{Answer, Outcome};
use super::{ChildCommit, ChildrenChanged, ChildrenWanted, Collection, Reported};
use crate::error::{Refusal, Retry};
use crate::message::decode;
use crate::stream::{ChildrenPositions, Origin};

/// The collections that are read, and how far that is.
#[derive(Debug, Default)]
pub(crate) struct Regaining {
    /// The names that are not whole yet; the first is being read.
    names: VecDeque<String>,
    /// That one as far as it has come; none before its first page.
    copy: Option<Collection>,
}

impl Regaining {
    /// The name that is being read; none when everything is here.
    pub(crate) fn name(&self) -> Option<&String> {
        self.names.front()
    }

    /// What is asked of the name that is being read, of which `here` is what is here.
    pub(crate) fn wanted(&self, here: &Collection) -> Option<(ChildrenWanted, ChildrenPositions)> {
        let name = self.name()?;
        let (after, have) = match &self.copy {
            Some(copy) => (copy.continues_after(), ChildrenPositions::new()),
            None => (None, have([(name, here)].into_iter())),
        };
        let name = name.clone();
        Some((ChildrenWanted::Page { name, after }, have))
    }

    /// This name is to be read, too.
    pub(crate) fn add(&mut self, name: &str) {
        if !self.names.iter().any(|one| one == name) {
            self.names.push_back(name.to_owned());
        }
    }

    /// What has come of the name that is being read is of no use: it is read anew.
    pub(crate) fn begin_anew(&mut self) {
        self.copy = None;
    }

    /// A commit of a child came meanwhile. An answer that has begun does not hold it; says whether it goes on.
    pub(crate) fn commit(&mut self, name: &str, commit: &ChildCommit) -> bool {
        let read = self.name().is_some_and(|one| one == name);
        let copy = self.copy.as_mut().filter(|_| read);
        copy.is_none_or(|copy| matches!(copy.take(commit), Taken::Old | Taken::Done(_)))
    }

    /// Takes the answer to the `read`: a collection that is whole by it becomes what it is at the node.
    ///
    /// # Errors
    /// Why it is to be read anew.
    pub(crate) fn answered(
        &mut self,
        here: &mut Reported,
        body: &str,
    ) -> Result<Option<ChildrenChanged>, Refusal> {
        let copy = self.copy.take();
        let mut copy = copy.unwrap_or_else(|| here.collection.clone());
        let mut answer: Answer<'_> = decode(body)?;
        let of = self.name().and_then(|name| answer.children.remove(name));
        let not_asked = || Refusal::malformed("field `body.children`: not what was asked for");
        match copy.answered(of.ok_or_else(not_asked)?).1 {
            Outcome::Closed(refusal) => Err(refusal),
            Outcome::Recover => {
                let desc = "the children did not come whole";
                Err(Refusal::away(Retry::Now, desc))
            }
            Outcome::Well if copy.is_whole() => {
                self.names.pop_front();
                Ok(here.adopt(copy, Origin::CatchUp))
            }
            Outcome::Well => {
                self.copy = Some(copy);
                Ok(None)
            }
        }
    }
}
