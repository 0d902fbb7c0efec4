//! Slow readers (protocol.md §7): a route whose reader does not keep up is parked, and woken with a
//! head when it does; so is the holder of an object whose children the node takes. What is dropped, and when, its driver decides: it has the queues.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::session::Session;
use super::{ConnectionId, Node, ObjectId, Output};
use crate::address::Address;

impl Node {
    /// Parks the routes of `objects` on `connection`: what they had published there is lost.
    pub(super) fn park(&mut self, connection: ConnectionId, objects: &BTreeSet<ObjectId>) {
        for url in self.observed_on(connection) {
            let Some(object) = self.objects.get_mut(&url) else {
                continue;
            };
            if objects.contains(&object.id) && object.routes.park(connection) {
                self.counters.parkings += 1;
            }
        }
        for url in self.held_on(connection) {
            if let Some(object) = self.objects.get_mut(&url)
                && objects.contains(&object.id)
                && object.collections().is_some()
            {
                object.parked_holder = Some(connection);
            }
        }
    }

    /// Wakes what is parked on `connection`: from the head its reader sees what it lacks, and asks.
    pub(super) fn wake(&mut self, connection: ConnectionId) {
        for url in self.observed_on(connection) {
            let Some(object) = self.objects.get_mut(&url) else {
                continue;
            };
            if object.routes.wake(connection)
                && let Some(head) = object.wake_frame()
            {
                self.counters.wakes += 1;
                self.counters.deliveries += 1;
                let to = Arc::new(vec![connection]);
                self.outbox.push(Output::Publish(object.id, to, head));
            }
        }
        for url in self.held_on(connection) {
            let Some(object) = self.objects.get_mut(&url) else {
                continue;
            };
            if object.parked_holder.take() == Some(connection)
                && let Some(head) = object.wake_frame()
            {
                let to = Arc::new(vec![connection]);
                self.outbox.push(Output::Publish(object.id, to, head));
            }
        }
    }

    fn observed_on(&self, connection: ConnectionId) -> Vec<Address> {
        let session = self.session_on(connection);
        session.map_or_else(Vec::new, |session| {
            session.observed.iter().cloned().collect()
        })
    }

    fn held_on(&self, connection: ConnectionId) -> Vec<Address> {
        let session = self.session_on(connection);
        session.map_or_else(Vec::new, |session| session.held.iter().cloned().collect())
    }

    fn session_on(&self, connection: ConnectionId) -> Option<&Session> {
        let known = self.connections.get(&connection)?;
        self.sessions.get(&known.session?)
    }
}
