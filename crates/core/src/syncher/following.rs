//! A Reporter whose node takes the children (protocol.md §9): it follows them as a reader does, and writes as an
//! author does, with a Reporter's rights.

use super::{Recovery, Reporter, State};
use crate::children::{
    Authoring, ChildCommit, ChildrenChanged, ChildrenWanted, Regaining, Reported, Unsafe, digest,
};
use crate::error::Refusal;
use crate::object::Hash;
use crate::runtime::Backoff;
use crate::stream::ChildrenPositions;
use crate::time::Time;

/// What such a Reporter lacks of the children, and how far it is with that.
#[derive(Debug)]
pub(crate) struct Following {
    lacking: Regaining,
    recovery: Recovery,
    backoff: Backoff,
}

impl Following {
    fn lacks(&mut self, name: &str) {
        self.lacking.add(name);
        if self.recovery == Recovery::None {
            self.recovery = Recovery::Due;
        }
    }

    /// What was asked, and what has come of the answer, is of no use.
    fn begin_anew(&mut self) {
        self.lacking.begin_anew();
        self.recovery = self.next();
    }

    fn next(&self) -> Recovery {
        match self.lacking.name() {
            Some(_) => Recovery::Due,
            None => Recovery::None,
        }
    }
}

impl Reporter {
    /// The node takes the children from now on, or does not. Gives what of this hyperty's own is safe by that.
    pub(crate) fn node_takes(&mut self, takes: bool) -> Vec<Unsafe> {
        let took = self.following.take().is_some();
        self.following = takes.then(|| Following {
            lacking: Regaining::default(),
            recovery: Recovery::None,
            backoff: Backoff::default(),
        });
        if took && !takes {
            self.stands_as_here()
        } else {
            vec![]
        }
    }

    /// What this hyperty wrote goes on from where its streams stand here: what another alone had is lost.
    pub(crate) fn stands_as_here(&mut self) -> Vec<Unsafe> {
        let mut safe = Vec::new();
        for (name, authoring) in &mut self.authoring {
            authoring.cut();
            let here = self.children.get(name);
            safe.extend(authoring.stands(here.and_then(Reported::own)));
        }
        safe
    }

    /// Whether the children are others here than where they are as `told`.
    pub(crate) fn differs(&self, told: Hash) -> bool {
        digest(&self.children) != Some(told)
    }

    /// Whether the node takes the children.
    pub(crate) const fn follows(&self) -> bool {
        self.following.is_some()
    }

    /// Whether the node takes them, and nothing is known to be missing here.
    pub(crate) fn lacks_nothing(&self) -> bool {
        let following = self.following.as_ref();
        following.is_some_and(|following| following.recovery == Recovery::None)
    }

    /// All children are read anew, where the node takes them.
    pub(crate) fn lacks_all(&mut self) {
        if let Some(following) = &mut self.following {
            for name in self.children.keys() {
                following.lacking.add(name);
            }
            following.begin_anew();
        }
    }

    /// The connection is gone: what was asked will not be answered.
    pub(crate) fn cut_children(&mut self) {
        self.authoring.values_mut().for_each(Authoring::cut);
        if let Some(following) = &mut self.following {
            following.begin_anew();
        }
    }

    /// Takes a commit that the node took for it.
    pub(crate) fn child_taken(
        &mut self,
        name: &str,
        commit: &ChildCommit,
    ) -> Option<ChildrenChanged> {
        let following = self.following.as_mut()?;
        let reported = self.children.get_mut(name)?;
        if !following.lacking.commit(name, commit) {
            following.begin_anew();
        }
        let taken = reported.follow(commit);
        if taken.is_err() {
            following.lacks(name);
        }
        if let Some(authoring) = self.authoring.get_mut(name) {
            authoring.saw(commit, &reported.collection);
        }
        taken.unwrap_or_default()
    }

    /// What is to be asked for next.
    pub(crate) fn lacking(&self) -> Option<(ChildrenWanted, ChildrenPositions)> {
        let due = |following: &&Following| following.recovery == Recovery::Due;
        let following = self.following.as_ref().filter(due)?;
        let here = self.children.get(following.lacking.name()?)?;
        let wanted = following.lacking.wanted(&here.collection);
        wanted.filter(|_| self.state == State::Live)
    }

    /// What is lacking is asked for by this request.
    pub(crate) fn asks_for_children(&mut self, id: u64) {
        if let Some(following) = &mut self.following {
            following.recovery = Recovery::Asked(id);
        }
    }

    /// Whether request `id` is what was asked last.
    pub(crate) fn awaits_children(&self, id: u64) -> bool {
        let following = self.following.as_ref();
        following.is_some_and(|following| following.recovery == Recovery::Asked(id))
    }

    /// How long it waited before it asked again.
    pub(crate) fn backoff_of_children(&mut self) -> Option<Backoff> {
        self.following.as_ref().map(|following| following.backoff)
    }

    /// Takes the answer to what was asked.
    ///
    /// # Errors
    /// Why it is to be asked for again.
    pub(crate) fn children_come(
        &mut self,
        body: &str,
    ) -> Result<Option<(String, ChildrenChanged)>, Refusal> {
        let Some(following) = &mut self.following else {
            return Ok(None);
        };
        let name = following.lacking.name().cloned().unwrap_or_default();
        let Some(reported) = self.children.get_mut(&name) else {
            return Ok(None);
        };
        let step = following.lacking.answered(reported, body)?;
        following.backoff.reset();
        following.recovery = following.next();
        if let Some(authoring) = self.authoring.get_mut(&name) {
            authoring.settle(&reported.collection);
        }
        Ok(step.map(|step| (name, step)))
    }

    /// What was asked is asked again then.
    pub(crate) fn asks_again(&mut self, at: Time, backoff: Backoff) {
        if let Some(following) = &mut self.following {
            following.lacking.begin_anew();
            (following.recovery, following.backoff) = (Recovery::Later(at), backoff);
        }
    }

    /// What waited until now is to be asked for.
    pub(crate) fn asks_now(&mut self, now: Time) {
        let following = self.following.as_mut();
        let waits = |following: &&mut Following| matches!(following.recovery, Recovery::Later(at) if at <= now);
        if let Some(following) = following.filter(waits) {
            following.recovery = Recovery::Due;
        }
    }
}
