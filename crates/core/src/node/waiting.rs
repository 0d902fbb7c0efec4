//! Requests that wait at an object for somebody to answer them (protocol.md §3, §6): for a Reporter in
//! its grace time, or, when they hold, for any.

use super::Node;
use super::request::Request;
use crate::address::Address;
use crate::error::{Refusal, Retry};
use crate::limits::{WAITING_BYTES_MAX, WAITING_PER_ASKER_BYTES_MAX};
use crate::time::Time;

impl Node {
    /// Lets `request` wait at its object for a Reporter in its grace time, or for any when it holds.
    pub(super) fn wait(&mut self, mut request: Request, in_grace: bool) {
        let holds = request.wanted.waits(false);
        let waits = request.wanted.waits(in_grace);
        let Some(url) = request.object.clone().filter(|_| waits) else {
            let desc = format!("who answers for `{}` is away: try again later", request.to);
            return self.refuse(request, &Refusal::away(Retry::Seconds(1), desc));
        };
        if request.text.len() > WAITING_BYTES_MAX {
            let desc = format!("a request that waits has at most {WAITING_BYTES_MAX} bytes");
            return self.refuse(request, &Refusal::too_large(desc));
        }
        let waiting = self
            .sessions
            .get(&request.asker)
            .map_or(0, |asker| asker.waiting.bytes);
        if waiting + request.text.len() > WAITING_PER_ASKER_BYTES_MAX {
            let desc = "too many of your requests wait for somebody to answer them";
            return self.refuse(request, &Refusal::too_many(desc));
        }
        // Only now: an object made for a request that is refused would be left behind.
        let Some(object) = self.object_at(&url) else {
            let desc = "this node keeps no more objects".to_owned();
            return self.refuse(request, &Refusal::away(Retry::Seconds(30), desc));
        };
        let claimed = object.record.is_some();
        if let Some(asker) = self.sessions.get_mut(&request.asker) {
            asker.waiting.requests += 1;
            asker.waiting.bytes += request.text.len();
        }
        if holds && !std::mem::replace(&mut request.told, true) {
            let why = if claimed {
                "its Reporter is away"
            } else {
                "nobody has claimed it yet"
            };
            let waiting = Refusal::follows(format!("`{url}` is waited for: {why}"));
            self.tell(&request, &waiting);
        }
        if let Some(object) = self.objects.get_mut(&url) {
            object.waiting.push_back(request);
        }
    }

    pub(super) fn waits_no_more(&mut self, request: &Request) {
        if let Some(asker) = self.sessions.get_mut(&request.asker) {
            asker.waiting.requests -= 1;
            asker.waiting.bytes -= request.text.len();
        }
    }

    /// Forwards what waited for the holder of `url`.
    pub(super) fn forward_waiting(&mut self, url: &Address, now: Time) {
        let Some(object) = self.objects.get_mut(url) else {
            return;
        };
        for request in std::mem::take(&mut object.waiting) {
            self.waits_no_more(&request);
            self.forward(request, now);
        }
    }

    /// The holder of `url` will not come back: only those who hold go on waiting.
    pub(super) fn refuse_waiting(&mut self, url: &Address) {
        let Some(object) = self.objects.get_mut(url) else {
            return;
        };
        for request in std::mem::take(&mut object.waiting) {
            self.waits_no_more(&request);
            self.wait(request, false);
        }
    }
}
