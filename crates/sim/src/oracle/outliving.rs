//! What an author wrote to children before its runtime ended, and its disk has: it is taken in a later life, or refused.

use std::collections::{BTreeMap, BTreeSet};

use byline_core::children::ChildCommit;
use byline_core::error::{Reason, Refusal, Retry};
use byline_core::message::{Header, Type};
use byline_core::runtime::Seat;

use super::taking::number_of;
use super::{Oracle, Rule};
use crate::totals::{Count, Totals};

/// What is known of such writes, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Outliving {
    /// Those that nobody has answered for good, and whose they are.
    open: BTreeMap<u64, Seat>,
    /// What authors sent, by who asked and the id of the request.
    asked: BTreeMap<(String, String), u64>,
    /// Those that were refused for their date: twice in a connection is for good.
    dated: BTreeSet<u64>,
}

/// The number of the value that a child commit of `author` gives.
pub(crate) fn number_in(kind: Type, author: &str, body: &str) -> Option<u64> {
    let commit = ChildCommit::decode(kind, author, body).ok()?;
    number_of(&commit.act)
}

impl Oracle {
    /// `seat` has found the write of this number on its disk.
    pub(crate) fn outlives(&mut self, n: u64, seat: &Seat) {
        if !self.children.safe.contains(&n) {
            self.outliving.open.insert(n, seat.clone());
        }
    }

    /// It is over with `seat`, as its application was told: what it wrote is of no account.
    pub(crate) fn gives_up(&mut self, seat: &Seat) {
        self.outliving.open.retain(|_, of| of != seat);
    }

    pub(super) fn child_is_asked(&mut self, header: &Header<'_>) {
        if let Some(n) = number_in(header.kind, &header.from, header.body) {
            let asked = (header.from.to_string(), header.id.to_owned());
            self.outliving.asked.insert(asked, n);
        }
    }

    /// An author is answered.
    pub(super) fn outliving_is_answered(
        &mut self,
        header: &Header<'_>,
        code: u16,
        totals: &mut Totals,
    ) {
        let asked = (header.to.to_string(), header.id.to_owned());
        let Some(n) = self.outliving.asked.remove(&asked) else {
            return;
        };
        if !self.outliving.open.contains_key(&n) {
            return;
        }
        let refusal = header.decode::<Refusal>().ok();
        let later = refusal.is_some_and(|refusal| {
            refusal.retry != Retry::Never
                || refusal.reason == Some(Reason::Gap)
                || refusal.time.is_some() && self.outliving.dated.insert(n)
        });
        if code == 200 {
            totals.one(Count::ChildrenSafeLater);
            self.children.safe.insert(n);
        }
        if code == 200 || !later {
            self.outliving.open.remove(&n);
        }
    }

    /// Nobody waits any more: what rested was taken.
    pub(crate) fn nothing_outlives(&mut self, when: &str) {
        let open: BTreeSet<u64> = self.outliving.open.keys().copied().collect();
        // Of a child that has left nothing is said any more, and in a later life there is nobody to be told so.
        let has_left = |n: &u64| {
            let of = self.children.written.get(n);
            of.is_some_and(|one| {
                let child = (one.place.clone(), one.id.clone());
                self.children.left.contains(&child)
            })
        };
        let mut untaken = open.difference(&self.children.taken);
        let lost = untaken.find(|n| !has_left(n)).copied();
        let lost = lost.map(|n| (n, self.outliving.open.get(&n).cloned()));
        self.expects(lost.is_none(), Rule::Stored, || {
            format!("{when}, what rested of a child is neither taken nor refused: {lost:?}")
        });
    }
}
