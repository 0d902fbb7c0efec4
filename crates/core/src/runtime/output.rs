//! What a runtime and its driver tell each other.

use std::sync::Arc;

use serde_json::Value;

use super::{Asking, Event, Executing, FlushError, Invitation, Snapshot};
use crate::address::Address;
use crate::children::ChildrenChanged;
use crate::error::Refusal;
use crate::message::body::Observers;
use crate::storage::Batch;
use crate::stream::{Changed, Written};
use crate::syncher::State;

/// What a driver tells the runtime.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// The connection that [`Output::Connect`] asked for is there.
    Connected,
    /// It could not be made, or is gone; the code is the one it was closed with, if any.
    Disconnected(Option<u16>),
    /// The node sent a frame.
    Received(&'a str),
    /// The time of [`Runtime::poll_timeout`](super::Runtime::poll_timeout) has come.
    Timeout,
    /// What [`Output::Store`] brought is stored: it survives the end of the process.
    Stored,
    /// It is not, for this reason. The driver tries the same batch again, until [`Input::Stored`].
    NotStored(&'a str),
}

/// One hyperty and one object: what a driver's handle is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seat {
    /// The hyperty.
    pub hyperty: Address,
    /// The object.
    pub object: Address,
}

/// How a runtime's connection with its node is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connection {
    /// It is being made, or made again.
    Connecting,
    /// Frames flow.
    Live,
    /// The node wants a token, or a newer one, for this reason: nothing goes on before it has one.
    NeedsAuth(String),
    /// It is over, and not tried again.
    Ended(Refusal),
}

/// What a driver does for the runtime.
#[derive(Clone, Debug)]
pub enum Output {
    /// Connect to the node.
    Connect,
    /// Drop the connection: it is dead, or of no use.
    Disconnect,
    /// Send a frame.
    Send(String),
    /// Store this, whole or not at all. There is no other before this is answered by [`Input::Stored`].
    Store(Batch),
    /// A Reporter's state is another.
    Reporter(Seat, State),
    /// An Observer's state is another.
    Observer(Seat, State),
    /// An Observer's copy made a step.
    Changed(Seat, Changed),
    /// An object's Reporter claimed it and had written what is no part of it: these commits are not,
    /// and were seen by nobody. The Reporter goes on from the object as it is, or has lost it: then it comes once,
    /// with none where there are none.
    Rejected(Seat, Vec<Written>),
    /// Somebody asks to read an object whose `access` does not say: answered by [`Runtime::decide`](super::Runtime::decide).
    Asked(Seat, Asking),
    /// A reader asks for something to be done: answered by [`Runtime::answer_execute`](super::Runtime::answer_execute).
    Executing(Seat, Executing),
    /// Somebody invites this hyperty, or, where that is this runtime's own address, its person: answered by
    /// [`Runtime::answer_invitation`](super::Runtime::answer_invitation).
    Invited(Address, Invitation),
    /// Others observe the seat's object than before: see [`Runtime::audience`](super::Runtime::audience).
    Presence(Seat),
    /// What [`Runtime::observers`](super::Runtime::observers) asked for, or why not.
    Observers(u64, Result<Observers, Refusal>),
    /// Nobody waits for the answer to that question about the seat's object any more.
    Gone(Seat, u64),
    /// A `read` is answered, or failed for good.
    Read(u64, Result<Snapshot, Refusal>),
    /// What [`Runtime::execute`](super::Runtime::execute) asked for, or [`Runtime::command_as_owner`](super::Runtime::command_as_owner) said, is done, or was refused.
    Answered(u64, Result<Value, Refusal>),
    /// What was commanded by that call is done, or was refused.
    Done(u64, Result<(), Refusal>),
    /// A collection of children made a step, at a Reporter or an Observer.
    Children(Seat, String, ChildrenChanged),
    /// Somebody said something to all who have an object, at this collection of children.
    Event(Seat, String, Event),
    /// So many bytes of what [`Runtime::fetch`](super::Runtime::fetch) asked for are here.
    Fetching(u64, u64),
    /// What [`Runtime::fetch`](super::Runtime::fetch) asked for is here, as its author described it, or cannot be had.
    Fetched(u64, Result<Arc<[u8]>, Refusal>),
    /// Everything written before that call has reached the node.
    Delivered(u64),
    /// Everything written before that call of [`Runtime::flush`](super::Runtime::flush) is stored, or is not.
    Flushed(u64, Result<(), FlushError>),
    /// The session cannot be had, and trying again would not help.
    Refused(Refusal),
    /// The connection is doing otherwise than before. That it has ended says [`Output::Refused`].
    Connection(Connection),
    /// A token is needed, now or soon: [`Runtime::authenticate`](super::Runtime::authenticate).
    NeedsToken,
}
