//! An object that a hyperty reports: its stream, and the readers that wait for their first answer.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::value::RawValue;

use super::following::Following;
use super::{Audience, Recovery, State};
use crate::address::Address;
use crate::children::{
    Authoring, ChildrenChanged, ChildrenWanted, Observed, Reported, Unsafe, answer, digest, page,
};
use crate::error::Refusal;
use crate::limits::UNANSWERED_PER_OBJECT_MAX;
use crate::runtime::Backoff;
use crate::stream::{Digest, Forgotten, Head, Origin, ReporterStream};
use crate::time::Time;

/// A reader that was let in and is answered next.
#[derive(Clone, Debug)]
pub(crate) struct Due {
    /// Whom to answer.
    pub(crate) asker: String,
    /// The request's id as JSON text.
    pub(crate) id: String,
    /// The address asked, which the answer is from.
    pub(crate) asked: String,
    /// The hyperty that asks.
    pub(crate) reader: String,
    /// Where the reader stands.
    pub(crate) have: Digest,
    /// Which children it wants.
    pub(crate) children: ChildrenWanted,
    /// It wants the whole object, wherever it stands.
    pub(crate) whole: bool,
}

/// What is to be sent for an object, in this order.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// A commit: the whole frame.
    Commit(String),
    /// An answer with this body.
    Content(Box<Due>, String),
}

/// One object as its Reporter has it.
#[derive(Debug)]
pub(crate) struct Reporter {
    pub(crate) stream: ReporterStream,
    pub(crate) state: State,
    due: VecDeque<Due>,
    /// When it was last written.
    pub(crate) written: Time,
    /// Whether a quiet head is due some time.
    pub(crate) quiet_armed: bool,
    /// Its end was commanded: nothing more is written.
    pub(crate) deleting: bool,
    /// The object's children, by name.
    pub(crate) children: BTreeMap<String, Reported>,
    /// This hyperty's own commits to them, by name.
    pub(crate) authoring: BTreeMap<String, Authoring>,
    /// What is lacking of the children, where the node takes them.
    pub(super) following: Option<Following>,
    /// What another session of the owner's has of the children, page by page, before it is taken over.
    pub(crate) adopting: Option<Observed>,
    /// Whether it is being found out which of its commits are no part of the object, which it has lost.
    pub(crate) settling: Recovery,
    pub(crate) backoff: Backoff,
    /// Who observes the object.
    pub(crate) audience: Audience,
    /// Its readers are to hear where its children stand, as soon as the node has all commits.
    pub(crate) head_due: bool,
    /// Everything of a commit's frame before its body: the same each time.
    frame_start: String,
}

impl Reporter {
    pub(crate) fn new(url: &Address, stream: ReporterStream) -> Self {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let (from, to) = (quoted(url.as_str()), quoted(&url.resource("changes")));
        Self {
            stream,
            state: State::Claiming,
            due: VecDeque::new(),
            written: Time::default(),
            quiet_armed: false,
            deleting: false,
            children: BTreeMap::new(),
            authoring: BTreeMap::new(),
            following: None,
            adopting: None,
            settling: Recovery::None,
            backoff: Backoff::default(),
            audience: Audience::default(),
            head_due: false,
            frame_start: format!(r#"{{"type":"update","from":{from},"to":{to},"body":"#),
        }
    }

    /// A reader was let in: it is answered in its place among the commits.
    pub(crate) fn admit(&mut self, due: Due) -> Result<(), Refusal> {
        if self.due.len() >= UNANSWERED_PER_OBJECT_MAX {
            let desc = format!("{UNANSWERED_PER_OBJECT_MAX} readers are not answered yet");
            return Err(Refusal::too_many(desc));
        }
        self.due.push_back(due);
        Ok(())
    }

    /// Whether anybody waits for an answer.
    pub(crate) fn readers_wait(&self) -> bool {
        !self.due.is_empty()
    }

    /// The session is gone, and with it whoever waited.
    pub(crate) fn forget_due(&mut self) {
        self.due.clear();
    }

    /// What is to be sent next, in the object's own order: one commit at a time while nobody waits;
    /// all commits and then all answers when somebody does, so that each answer stands exactly
    /// between the commits it holds and those that follow (protocol.md §6.3).
    pub(crate) fn outgoing(&mut self) -> Result<Vec<Outgoing>, Forgotten> {
        if self.state != State::Live {
            return Ok(vec![]);
        }
        let mut outgoing = Vec::new();
        while let Some(body) = self.stream.next_unsent()? {
            outgoing.push(Outgoing::Commit(self.frame(&body)));
            if self.due.is_empty() {
                return Ok(outgoing);
            }
        }
        if !self.stream.may_answer() {
            return Ok(outgoing);
        }
        for due in std::mem::take(&mut self.due) {
            let body = self.content(&due);
            outgoing.push(Outgoing::Content(Box::new(due), body));
        }
        Ok(outgoing)
    }

    fn content(&mut self, due: &Due) -> String {
        let wanted = match &due.children {
            ChildrenWanted::Page { name, after } => {
                return match page(&self.children, name, after.as_ref(), &due.have.children) {
                    Ok(children) => self.stream.children_only(&children),
                    Err(refusal) => serde_json::to_string(&refusal).unwrap_or_default(),
                };
            }
            ChildrenWanted::Any(wanted) => *wanted,
        };
        let (data, have) = (due.have.data, &due.have.children);
        let children = answer(&self.children, have, &due.reader, wanted);
        self.stream.content_with(data, due.whole, Some(&children))
    }

    /// Takes over the children that came with the object; gives the steps that are made by it, and what
    /// of its own is safe.
    pub(crate) fn adopt(&mut self) -> (Vec<(String, ChildrenChanged)>, Vec<Unsafe>) {
        let (mut steps, mut safe) = (Vec::new(), Vec::new());
        let theirs = self.adopting.take().unwrap_or_default();
        for (name, authoring) in &mut self.authoring {
            // What was under way under another claim is not waited for.
            authoring.cut();
            safe.extend(authoring.stands(theirs.yours.get(name).copied()));
        }
        for (name, collection) in theirs.into_collections() {
            if let Some(reported) = self.children.get_mut(&name) {
                let step = reported.adopt(collection, Origin::Snapshot);
                steps.extend(step.map(|step| (name, step)));
            }
        }
        (steps, safe)
    }

    /// What readers are told of where the object stands, when the node has every commit. A node that takes the children
    /// says itself where they stand.
    pub(crate) fn head(&self) -> Option<Head> {
        let takes = self.following.is_none();
        Some(Head {
            children: takes.then(|| digest(&self.children)).flatten(),
            ..self.stream.head()?
        })
    }

    fn frame(&self, body: &Arc<RawValue>) -> String {
        format!("{}{}}}", self.frame_start, body.get())
    }
}
