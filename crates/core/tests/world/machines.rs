//! What the machines of a world are told, and how what they put out is performed.

use byline_core::address::Target;
use byline_core::node::{self, ConnectionId};
use byline_core::runtime;
use serde_json::Value;

use super::{Who, World, place};

impl World {
    pub(super) fn connection(&mut self) -> ConnectionId {
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        self.node
            .handle(node::Input::Connected(connection), self.now);
        connection
    }

    pub(super) fn lost(&mut self, connection: ConnectionId) {
        self.behind.remove(&connection);
        self.answers.lost(connection);
        self.node.handle(node::Input::Lost(connection), self.now);
        self.collect();
    }

    pub(super) fn hands_to_node(&mut self, connection: ConnectionId, frame: &str) {
        self.answers.asked(connection, frame);
        let input = node::Input::Received(connection, frame.into());
        self.node.handle(input, self.now);
        self.collect();
    }

    pub fn hands_to_runtime(&mut self, who: Who, frame: &str) {
        self.places[who].received.push(frame.to_owned());
        self.tell(who, runtime::Input::Received(frame));
    }

    pub(super) fn tell(&mut self, who: Who, input: runtime::Input<'_>) {
        self.places[who].runtime.handle(input, self.now);
        self.collect();
    }

    /// Performs what the machines put out.
    pub(super) fn collect(&mut self) {
        let mut again = true;
        while std::mem::take(&mut again) {
            while let Some(output) = self.node.poll_output() {
                again = true;
                self.perform(output);
            }
            for who in 0..self.places.len() {
                while let Some(output) = self.places[who].runtime.poll_output(self.now) {
                    again = true;
                    self.perform_for(who, output);
                }
            }
        }
    }

    pub(super) fn perform(&mut self, output: node::Output) {
        match output {
            node::Output::Send(connection, frame) => self.sends(connection, &frame),
            node::Output::Publish(object, connections, frame) => {
                let message: Value = serde_json::from_str(&frame).unwrap();
                let Target::Object(url, _) = Target::of(message["to"].as_str().unwrap()) else {
                    panic!("{message} is of no object");
                };
                self.published.insert(url.to_owned(), object);
                for connection in connections.iter() {
                    self.sends(*connection, &frame);
                }
            }
            node::Output::Store(batch) => self.disk_takes(batch),
            node::Output::Withdraw(connection, object) => self.withdraws(connection, object),
            node::Output::Close(connection, code, _) => {
                self.closed.insert(connection, code);
                self.answers.lost(connection);
                let Some(who) = self.behind.remove(&connection) else {
                    return;
                };
                let link = &mut self.places[who].link;
                let old = link.take_if(|link| link.connection == connection);
                if old.is_some_and(|link| !link.dead) {
                    let input = runtime::Input::Disconnected(Some(code));
                    self.places[who].runtime.handle(input, self.now);
                }
            }
        }
    }

    pub(super) fn sends(&mut self, connection: ConnectionId, frame: &str) {
        self.answers.answered(connection, frame);
        match self.behind.get(&connection) {
            Some(who) => {
                let link = self.places[*who].link.as_mut();
                if let Some(link) = link.filter(|link| link.connection == connection && !link.dead)
                {
                    link.down.push_back(frame.to_owned());
                }
            }
            None => self
                .inboxes
                .entry(connection)
                .or_default()
                .push(frame.to_owned()),
        }
    }

    pub(super) fn perform_for(&mut self, who: Who, output: runtime::Output) {
        match output {
            runtime::Output::Connect if self.places[who].network => {
                let connection = self.connection();
                self.behind.insert(connection, who);
                self.places[who].link = Some(place::Link::new(connection));
                let input = runtime::Input::Connected;
                self.places[who].runtime.handle(input, self.now);
            }
            runtime::Output::Connect => {
                let input = runtime::Input::Disconnected(None);
                self.places[who].runtime.handle(input, self.now);
            }
            runtime::Output::Disconnect => {
                let link = self.places[who].link.take();
                if let Some(link) = link.filter(|link| !link.dead) {
                    self.behind.remove(&link.connection);
                    self.answers.lost(link.connection);
                    let input = node::Input::Lost(link.connection);
                    self.node.handle(input, self.now);
                }
                let input = runtime::Input::Disconnected(None);
                self.places[who].runtime.handle(input, self.now);
            }
            runtime::Output::Send(frame) => {
                self.places[who].sends(&frame);
                let link = self.places[who].link.as_mut();
                if let Some(link) = link.filter(|link| !link.dead) {
                    link.up.push_back(frame);
                }
            }
            runtime::Output::Store(batch) => self.disk_of_runtime_takes(who, batch),
            other => self.places[who].notes(other, &self.past),
        }
    }

    pub(super) fn checks(&self) {
        for place in &self.places {
            place.checks();
        }
    }
}
