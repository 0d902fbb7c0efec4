//! Objects fetched once (protocol.md §6).

use super::requests::Purpose;
use super::{CallError, Output, Runtime, Snapshot, Timer};
use crate::address::Address;
use crate::children::ChildrenWanted;
use crate::error::Refusal;
use crate::limits::REQUEST_MS;
use crate::message::Type;
use crate::message::body::Subscribe;
use crate::object::Hash;
use crate::stream::ObserverStream;
use crate::time::Time;

impl Runtime {
    /// Fetches an object once; the answer comes as [`Output::Read`] with the number returned.
    ///
    /// # Errors
    /// [`CallError`]; nothing was sent then.
    pub fn read(&mut self, hyperty: &Address, url: Address, now: Time) -> Result<u64, CallError> {
        let url = self.of_domain(url)?;
        self.calls += 1;
        let call = self.calls;
        if self.is_reached(&url) {
            self.send_read(call, hyperty, &url, now);
        }
        let deadline = now.plus_ms(REQUEST_MS);
        self.timers.insert((deadline, Timer::Read(call)));
        self.reads.insert(call, (hyperty.clone(), url, deadline));
        if self.session.ended().is_some() {
            self.begin(now);
        }
        Ok(call)
    }

    pub(super) fn read_answered(&mut self, call: u64, body: &str) {
        let mut stream = ObserverStream::new();
        let reaction = stream.content(body);
        let parts = (stream.metadata(), stream.data(), stream.position());
        let result = match (reaction.closed, parts) {
            (None, (Some(metadata), Some(data), Some(position))) => {
                let (metadata, hash) = (metadata.clone(), Hash::of(&data));
                Ok(Snapshot {
                    metadata,
                    data,
                    position,
                    hash,
                })
            }
            (Some(refusal), _) => Err(refusal),
            _ => Err(Refusal::malformed("the answer to `read` holds no object")),
        };
        if self.reads.remove(&call).is_some() {
            self.outbox.push_back(Output::Read(call, result));
        }
    }

    pub(super) fn read_failed(&mut self, call: u64, refusal: Refusal) {
        if self.reads.remove(&call).is_some() {
            self.outbox.push_back(Output::Read(call, Err(refusal)));
        }
    }

    /// A read's time is up, unless somebody said that it takes longer.
    pub(super) fn read_over(&mut self, call: u64, now: Time) {
        match self.reads.get(&call) {
            Some((_, _, deadline)) if *deadline > now => {
                self.timers.insert((*deadline, Timer::Read(call)));
            }
            Some(_) => {
                let desc = format!("no answer within {} s", REQUEST_MS / 1000);
                self.read_failed(call, Refusal::timed_out(desc));
            }
            None => {}
        }
    }

    pub(super) fn send_read(&mut self, call: u64, hyperty: &Address, url: &Address, now: Time) {
        let body = Subscribe {
            source: Some(hyperty.clone()),
            children: ChildrenWanted::Any(false),
            ..Subscribe::default()
        };
        let purpose = Purpose::Read(call);
        self.request(
            Type::Read,
            hyperty.as_str(),
            url.as_str(),
            &body,
            purpose,
            now,
        );
    }

    pub(super) fn send_reads(&mut self, now: Time) {
        for (call, (hyperty, url, deadline)) in self.reads.clone() {
            if deadline > now {
                self.send_read(call, &hyperty, &url, now);
            } else {
                self.read_failed(call, Refusal::timed_out("no session with the node in time"));
            }
        }
    }
}
