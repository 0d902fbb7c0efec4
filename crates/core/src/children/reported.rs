//! A collection at its Reporter: it decides what is taken, in the one order that all readers see.

use std::collections::{BTreeMap, BTreeSet};

use super::answering::Yours;
use super::collection::{Extent, Taken};
use super::log::ChildLog;
use super::{Act, ChildCommit, ChildId, ChildrenChanged, Collection, Write, too_large};
use crate::address::Address;
use crate::error::{Reason, Refusal, Retry};
use crate::stream::{Origin, Position};
use crate::time::Time;

/// A collection, and what its Reporter knows beside it.
#[derive(Debug)]
pub(crate) struct Reported {
    pub(crate) collection: Collection,
    pub(super) log: ChildLog,
    /// The Reporter's hyperty.
    reporter: Address,
}

/// Whether the Reporter's own write can be sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ready {
    Yes,
    /// There is no room yet.
    Wait,
    /// What it is to bring about is so already.
    Over,
}

/// A commit was taken elsewhere and cannot be here: some before it are missing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Lacking;

/// Why a commit was not taken.
#[derive(Debug, PartialEq)]
pub(crate) enum NotTaken {
    /// It does not follow: this is where the author's stream stands here.
    Gap(Position),
    /// It is refused for good, or for now.
    Refused(Refusal),
}

impl From<Refusal> for NotTaken {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl NotTaken {
    /// What the author is told.
    pub(crate) fn into_refusal(self) -> Refusal {
        match self {
            Self::Gap(position) => {
                let desc =
                    format!("its author's stream stands at {position} here: go on from there");
                let gap = Refusal::conflict(desc).because(Reason::Gap);
                Refusal {
                    retry: Retry::Now,
                    position: Some(Box::new(position)),
                    ..gap
                }
            }
            Self::Refused(refusal) => refusal,
        }
    }
}

impl Reported {
    /// A collection that `reporter` reports, and of which it keeps the newest `keep` children.
    pub(crate) fn new(reporter: Address, keep: usize) -> Self {
        Self {
            collection: Collection::of(keep, Extent::Whole),
            log: ChildLog::default(),
            reporter,
        }
    }

    /// The same of a collection that is here.
    pub(crate) fn of(collection: Collection, reporter: Address, keep: usize) -> Self {
        let mut reported = Self {
            collection,
            log: ChildLog::default(),
            reporter,
        };
        reported.collection.keeps_at_most(keep);
        reported
    }

    /// It is `reporter` from now on who reports it, and so many children are kept.
    pub(crate) fn goes_on(&mut self, reporter: &Address, keep: usize) {
        self.reporter.clone_from(reporter);
        self.collection.keeps_at_most(keep);
    }

    /// Bytes that it owns, about.
    pub(crate) fn bytes(&self) -> usize {
        self.collection.bytes_owned() + self.log.bytes()
    }

    /// Goes on from the collection as another has it: a session of the owner's, or the node.
    pub(crate) fn adopt(&mut self, theirs: Collection, origin: Origin) -> Option<ChildrenChanged> {
        self.log = ChildLog::default();
        self.collection.adopt(theirs, origin)
    }

    /// Where the Reporter's own stream stands.
    pub(crate) fn own(&self) -> Option<Yours> {
        self.collection.yours(self.reporter.as_str())
    }

    /// Takes a commit that the node took, who decides in the Reporter's place.
    ///
    /// # Errors
    /// Something is missing, or wrong: the collection is to be asked for.
    pub(crate) fn follow(
        &mut self,
        commit: &ChildCommit,
    ) -> Result<Option<ChildrenChanged>, Lacking> {
        let was_closed = self.collection.closed;
        match self.collection.take(commit) {
            Taken::Old => Ok(None),
            Taken::Done(changes) => {
                self.log.push(commit);
                Ok(self.collection.step(Origin::Live, changes, was_closed))
            }
            Taken::Ahead | Taken::Misfit | Taken::Full => Err(Lacking),
        }
    }

    /// Takes a commit; nothing has changed when it was here already.
    ///
    /// # Errors
    /// [`NotTaken`]; nothing has changed then.
    pub(crate) fn take(
        &mut self,
        commit: &ChildCommit,
    ) -> Result<Option<ChildrenChanged>, NotTaken> {
        let mine = self.collection.position(&commit.from);
        if commit.position <= mine {
            return self
                .again(commit)
                .then_some(None)
                .ok_or(NotTaken::Gap(mine));
        }
        if !self.collection.follows(commit) {
            return Err(NotTaken::Gap(mine));
        }
        self.judge(commit)?;
        let was_closed = self.collection.closed;
        match self.collection.take(commit) {
            Taken::Done(changes) => {
                self.log.push(commit);
                Ok(self.collection.step(Origin::Live, changes, was_closed))
            }
            Taken::Full => Err(full().into()),
            Taken::Old | Taken::Ahead => Err(NotTaken::Gap(mine)),
            Taken::Misfit => Err(self.misfit(commit).into()),
        }
    }

    /// Whether a commit of a position that was taken is the one that was: one that its author has
    /// dated anew is not what readers have.
    fn again(&self, commit: &ChildCommit) -> bool {
        match &commit.act {
            Act::Create(id, made, _) => {
                let child = self.collection.get(id);
                child.is_none_or(|child| child.made == *made)
            }
            _ => true,
        }
    }

    /// Whether the collection takes what `commit` does, which follows.
    fn judge(&self, commit: &ChildCommit) -> Result<(), Refusal> {
        let own = commit.from == self.reporter;
        match &commit.act {
            Act::Moderate(_) | Act::Close(_) | Act::Forget(_) if !own => {
                return Err(Refusal::forbidden("only the object's Reporter does this"));
            }
            _ if !own && self.collection.closed => {
                return Err(Refusal::forbidden(
                    "the collection is closed by its Reporter",
                ));
            }
            Act::Create(id, ..) if id.number() <= self.number(&commit.from) => {
                let desc = format!("`{id}` was used before: a number is used once");
                return Err(Refusal::conflict(desc));
            }
            Act::Update(id, _) | Act::Delete(id) if self.collection.get(id).is_none() => {
                return Err(if id.number() <= self.number(&commit.from) {
                    Refusal::gone(format!("`{id}` was deleted"))
                } else {
                    Refusal::unknown(format!("there is no `{id}`"))
                });
            }
            _ => {}
        }
        if self.collection.has_room_for(commit) {
            Ok(())
        } else {
            Err(full())
        }
    }

    fn misfit(&self, commit: &ChildCommit) -> Refusal {
        match &commit.act {
            Act::Update(id, changes) if self.collection.fits(id, changes) => too_large(),
            _ => Refusal::malformed("field `body`: a change does not apply to the child"),
        }
    }

    fn number(&self, author: &Address) -> u64 {
        let stream = self.collection.stream(author.as_str());
        stream.map_or(0, |stream| stream.number)
    }

    /// What the Reporter is to do for there to be room, beside that the children in `leaving` leave: to delete the
    /// oldest of the others, or to forget authors.
    pub(crate) fn overdue(&self, leaving: &BTreeSet<&ChildId>) -> Option<Write> {
        let (oldest, authors) = (
            self.collection.oldest(leaving),
            self.collection.forgettable(),
        );
        let others = authors
            .into_iter()
            .filter(|author| *author != self.reporter);
        let others: Vec<_> = others.collect();
        match (oldest.is_empty(), others.is_empty()) {
            (false, _) => Some(Write::Moderate(oldest)),
            (true, false) => Some(Write::Forget(others)),
            (true, true) => None,
        }
    }

    /// Whether the Reporter's own `write` can be sent.
    pub(crate) fn ready(&self, write: &Write) -> Ready {
        match write {
            Write::Create(..) if !self.collection.has_room() => Ready::Wait,
            Write::Delete(id) if self.collection.get(id).is_none() => Ready::Over,
            Write::Moderate(ids) if self.named(ids).is_empty() => Ready::Over,
            _ => Ready::Yes,
        }
    }

    /// What the Reporter's own `write` does, as things are. What makes a child dates it so.
    pub(crate) fn act(&self, write: &Write, dated: Time) -> Act {
        match write {
            Write::Moderate(ids) => Act::Moderate(self.named(ids)),
            Write::Forget(authors) => {
                let at = |author: &Address| (author.clone(), self.collection.position(author));
                Act::Forget(authors.iter().map(at).collect())
            }
            _ => write.act(dated),
        }
    }

    /// Those of `ids` that are there, as a moderation names them.
    pub(crate) fn named(&self, ids: &[ChildId]) -> BTreeMap<ChildId, Position> {
        let named = ids.iter().filter_map(|id| {
            let child = self.collection.get(id)?;
            Some((id.clone(), child.origin))
        });
        named.collect()
    }
}

fn full() -> Refusal {
    Refusal::too_many("the collection is full until its oldest children have left")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_child_that_its_author_dates_anew_is_not_the_one_that_was_taken() {
        let author = Address::join("hyperty", "localhost", "author");
        let commit = |made| ChildCommit {
            from: author.clone(),
            identity: None,
            position: Position::new(1, 1),
            base: None,
            act: Act::Create(
                ChildId::new(author.clone(), 1),
                Time::from_unix_ms(made),
                Arc::new(json!({})),
            ),
        };
        let mut reported = Reported::new(Address::join("hyperty", "localhost", "reporter"), 10);
        assert!(matches!(reported.take(&commit(7)), Ok(Some(_))));
        assert_eq!(reported.take(&commit(7)), Ok(None), "the same again");
        let gap = NotTaken::Gap(Position::new(1, 1));
        assert_eq!(reported.take(&commit(8)), Err(gap));
    }
}
