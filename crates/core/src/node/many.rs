//! Many subscriptions in one request (protocol.md §6): each becomes a request of its own, known by its
//! object's URL.

use std::collections::BTreeMap;

use super::admission::Passage;
use super::request::check_id;
use super::session::SessionId;
use super::{ConnectionId, Node};
use crate::error::Refusal;
use crate::limits::UNANSWERED_PER_ASKER_MAX;
use crate::message::body::{Many, Subscribe, SubscribeMany};
use crate::message::{Header, Type, encode};
use crate::time::Time;

impl Node {
    /// Answers 207 with what becomes of each, and then asks for those that may be asked for.
    pub(super) fn subscribe_many(
        &mut self,
        session: SessionId,
        connection: ConnectionId,
        header: &Header<'_>,
        now: Time,
    ) -> Result<(), Refusal> {
        let many: SubscribeMany = header.decode()?;
        check_id(header)?;
        if many.objects.len() > UNANSWERED_PER_ASKER_MAX {
            return Err(Refusal::too_many(format!(
                "field `body.objects` has at most {UNANSWERED_PER_ASKER_MAX} objects"
            )));
        }
        let mut answers = BTreeMap::new();
        let mut requests = Vec::new();
        for (url, have) in many.objects {
            let body = Subscribe {
                source: many.source.clone(),
                have,
                hold: many.hold,
                ..Subscribe::default()
            };
            let id = serde_json::Value::from(url.as_str()).to_string();
            let to = url.resource("subscription");
            let each = encode(&id, Type::Subscribe, &header.from, &to, &body);
            let judged = Header::peek(&each)
                .map_err(|malformed| malformed.refusal)
                .and_then(|each| self.admit_reader(session, url.as_str(), &each));
            let answer = match judged {
                Ok(Passage::Forward(request)) => {
                    requests.push(request);
                    Refusal::follows("its answer follows, with its URL as the id")
                }
                Ok(_) => continue,
                Err(refusal) => refusal,
            };
            answers.insert(url, answer);
        }
        let body = Many {
            code: 207,
            objects: answers,
        };
        self.send(connection, header.id, &header.to, &header.from, &body);
        for request in requests {
            let copy = request.clone();
            if let Err(refusal) = self.ask(*request, now) {
                self.count(&refusal);
                self.tell(&copy, &refusal);
            }
        }
        Ok(())
    }
}
