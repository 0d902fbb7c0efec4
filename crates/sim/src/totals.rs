//! What a run met: a world that never meets something proves nothing about it.

use std::fmt;

macro_rules! totals {
    ($($name:ident => $text:literal,)*) => {
        /// Something that is counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Count { $($name,)* }

        const NAMES: &[&str] = &[$($text,)*];
    };
}

totals! {
    Commits => "commits",
    Published => "commits published",
    ChildrenPublished => "child commits published",
    Deliveries => "steps of copies",
    ChildSteps => "steps of collections",
    Frames => "frames",
    // Faults.
    Cut => "cuts seen by both",
    CutOneSide => "cuts seen late by one side",
    HalfOpen => "half-open sockets",
    FramesLost => "frames lost by cuts",
    Delayed => "delays changed",
    SlowReader => "slow readers",
    SlowWriter => "slow writers",
    BadLink => "bad links",
    Duplicated => "stream frames duplicated",
    Late => "stream frames said again later",
    Swapped => "stream frames swapped",
    Vanished => "stream frames vanished",
    Echoed => "echoes of streams",
    NodeKept => "node cut off from all",
    NodeForgot => "node restarts without memory",
    NewProcess => "runtimes replaced",
    NodePower => "power cuts of a node",
    PlacePower => "power cuts of a runtime",
    DiskFull => "disks full",
    SetBack => "clocks set back",
    Jumped => "clock jumps",
    LiarSpoke => "frames of liars",
    LyingReporter => "frames of a lying Reporter",
    // What became of batches.
    NodeBatches => "batches of nodes",
    PlaceBatches => "batches of runtimes",
    BatchLost => "batches lost",
    BatchUntold => "batches stored and not told",
    NotStored => "batches not stored at once",
    PowerWhileFull => "power cuts while a disk was full",
    // What applications did.
    Subscribed => "subscribed",
    Unsubscribed => "unsubscribed",
    ReadAnswered => "reads answered",
    ReadRefused => "reads refused",
    Delivered => "deliveries confirmed",
    Flushed => "told that all is stored",
    FlushRefused => "not told that all is stored",
    WriteRefused => "writes refused to a closed Reporter",
    ChildrenCreated => "children created",
    ChildrenUpdated => "children updated",
    ChildrenDeleted => "children deleted",
    Moderated => "children moderated",
    ChildrenClosed => "collections closed or opened",
    EventsSaid => "events said",
    EventsHeard => "events heard",
    ChildWriteRefused => "child writes refused at the call",
    AuthorKicked => "authors put out",
    AuthorRejoined => "authors back",
    // Ways to recover.
    ReportersResumed => "Reporters resumed",
    ReportersTakenUp => "Reporters that lost and went on from what rests",
    CopiesResumed => "copies resumed",
    KeptAnswers => "readers answered by the node",
    KeptAnswersAway => "readers answered by the node while their Reporter was away",
    Joined => "joined by snapshot",
    CaughtUp => "recovered by commits",
    Snapshots => "recovered by snapshot",
    Rewound => "rewound",
    ChildrenCaughtUp => "collections recovered by commits",
    ChildrenPaged => "collections recovered by pages",
    ChildrenAdopted => "collections taken over",
    ChildrenCopied => "answers with children to a node that keeps them",
    ChildrenTaken => "child commits taken by the node",
    ChildrenTakenAway => "child commits taken by the node while their Reporter was away",
    KeptChildren => "readers answered with children by the node",
    ChildrenRegained => "collections that Reporters recovered from the node",
    ChildrenAtRest => "child writes that outlived their runtime",
    SaidWhole => "children said whole after a loss",
    ChildrenSafeLater => "child writes taken in a later life of their runtime",
    ChildrenPruned => "children that left for newer ones",
    ChildrenSentAgain => "child commits sent again",
    ChildGaps => "child commits refused as gaps",
    ChildRefused => "child commits refused for good",
    ChildForged => "child commits forged",
    ChildForgeryRefused => "forged child commits refused",
    GuestChildren => "children of guests",
    PresenceTold => "told who observes",
    DuplicatesIgnored => "duplicates ignored",
    GapsKept => "commits ahead of a gap",
    OldEpochs => "commits of old epochs refused",
    Divergences => "divergences",
    ReOpened => "sessions continued",
    FreshSessions => "sessions fresh after re-open",
    Claims => "claims granted",
    ReClaims => "claims with base",
    ReClaimSnapshot => "claims with base and snapshot",
    Discards => "claims with discard",
    Takes => "claims that took",
    Superseded => "superseded told",
    Waited => "subscribes told to wait",
    WaitedServed => "subscribes served after waiting",
    CommitRefused => "commits refused 409",
    ClaimHeld => "claims refused as held",
    ClaimAlone => "claims refused as alone",
    ClaimDiverged => "claims refused as diverged",
    Denied => "requests refused 403",
    TooMany => "requests refused 429",
    TimedOut => "requests given up 408",
    Away => "requests answered 503",
    Parked => "times routes were parked",
    Woken => "times parked routes were woken",
    Slow => "connections closed 4008",
    Replaced => "connections closed 4001",
    ReaderClosed => "readers that may not read",
    OtherAccess => "claims with another access",
    Kicked => "kicked",
    Allowed => "allowed",
    AccessSaid => "access said anew",
    Revoked => "routes revoked",
    Deleted => "objects deleted",
    Gone => "requests refused 410",
    CommandRefused => "commands refused",
    HandOversAsked => "hand-overs asked",
    HandOversSaid => "hand-overs said to a node, or taken back",
    HandOversDone => "hand-overs that came to their end",
    HandOversEnded => "hand-overs that did not",
    GivenOut => "commits withheld and given out",
    Rejected => "commits rejected after catching up",
    Many => "subscribed to many at once",
}

/// How often each thing happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Totals(Vec<u64>);

impl Default for Totals {
    fn default() -> Self {
        Self(vec![0; NAMES.len()])
    }
}

impl Totals {
    pub(crate) fn add(&mut self, count: Count, by: u64) {
        self.0[count as usize] += by;
    }

    pub(crate) fn one(&mut self, count: Count) {
        self.add(count, 1);
    }

    pub(crate) fn of(&self, count: Count) -> u64 {
        self.0[count as usize]
    }

    /// How many faults there were.
    #[must_use]
    pub fn faults(&self) -> u64 {
        let faults = Count::Cut as usize..=Count::LyingReporter as usize;
        let consequences = [
            Count::FramesLost,
            Count::Duplicated,
            Count::Late,
            Count::Swapped,
            Count::Vanished,
        ];
        let caused: u64 = consequences.iter().map(|count| self.of(*count)).sum();
        self.0[faults].iter().sum::<u64>() - caused
    }

    /// How many commits were written.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.of(Count::Commits)
    }

    /// Adds those of another run.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine += theirs;
        }
    }

    /// What never happened: a batch of many seeds must leave nothing out.
    #[must_use]
    pub fn zeros(&self) -> Vec<&'static str> {
        let all = NAMES.iter().zip(&self.0);
        all.filter(|(_, count)| **count == 0)
            .map(|(name, _)| *name)
            .collect()
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, count)) in NAMES.iter().zip(&self.0).enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{count} {name}")?;
        }
        Ok(())
    }
}
