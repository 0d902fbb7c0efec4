//! What a request is for: what its asker gets with a 200, and what is kept of it until then.

use std::sync::Arc;

use crate::address::Address;
use crate::children::ChildrenWanted;
use crate::message::body::Subscribe;
use crate::stream::Digest;

/// What the asker gets with a 200.
#[derive(Clone, Debug)]
pub(super) enum Wanted {
    /// The answer and nothing else.
    Answer,
    /// The object's content.
    Content(Reading),
    /// The object's content and from then on its commits.
    Route {
        hyperty: Address,
        hold: bool,
        reading: Reading,
    },
    /// The object's content, for the node to keep (§7).
    Keep,
    /// A page of its children, for the same (§9).
    Page,
    /// That every reader gets this: the request is a child commit (§9).
    FanOut(Arc<str>),
    /// A chunk of a file of this author (§9).
    Chunk(Address),
}

/// What a reader asks for.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    /// Where it stands.
    pub(super) have: Digest,
    pub(super) children: ChildrenWanted,
    /// What this takes beyond a position.
    bytes: usize,
}

impl Reading {
    /// Of a request whose body takes so many bytes.
    pub(super) fn of(body: Subscribe, bytes: usize) -> Self {
        let have = body.have.unwrap_or_default();
        let small = have.children.is_empty();
        Self {
            have,
            children: body.children,
            bytes: if small { 0 } else { bytes },
        }
    }
}

impl Wanted {
    /// Whether it waits for a Reporter who is away: in its grace time, or gone.
    pub(super) const fn waits(&self, in_grace: bool) -> bool {
        match self {
            Self::Route { hold, .. } => *hold || in_grace,
            Self::Content(_) => in_grace,
            // Its author says it again when the Reporter is there.
            // The node asks again when it is claimed.
            Self::FanOut(_) | Self::Chunk(_) | Self::Answer | Self::Keep | Self::Page => false,
        }
    }

    /// What a reader asks for.
    pub(super) const fn reading(&self) -> Option<&Reading> {
        match self {
            Self::Content(reading) | Self::Route { reading, .. } => Some(reading),
            Self::Answer | Self::Keep | Self::Page | Self::FanOut(_) | Self::Chunk(_) => None,
        }
    }

    /// The hyperty whose route is to start.
    pub(super) const fn hyperty(&self) -> Option<&Address> {
        match self {
            Self::Route { hyperty, .. } => Some(hyperty),
            _ => None,
        }
    }

    /// Bytes that the node keeps of it until it is answered.
    pub(super) fn kept_bytes(&self) -> usize {
        match self {
            Self::FanOut(text) => text.len(),
            _ => self.reading().map_or(0, |reading| reading.bytes),
        }
    }
}
