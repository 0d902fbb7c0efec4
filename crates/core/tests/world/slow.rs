//! Links that are slower than what is sent on them.

use byline_core::address::Address;
use byline_core::node::{self, ConnectionId, ObjectId};
use serde_json::Value;

use super::{Frames, Who, World, address};

impl World {
    /// The runtime takes nothing from its link for now.
    pub fn stalls(&mut self, who: Who) {
        self.places[who].link.as_mut().unwrap().stalled = true;
    }

    /// What an object published and a link has not delivered is taken back.
    pub(super) fn withdraws(&mut self, connection: ConnectionId, object: ObjectId) {
        let url = self.published.iter().find(|(_, id)| **id == object);
        let (Some((url, _)), Some(who)) = (url, self.behind.get(&connection)) else {
            return;
        };
        if let Some(link) = self.places[*who].link.as_mut() {
            drops_published(&mut link.down, &[url.as_str()]);
        }
    }

    /// Too much waits on a stalled link: what these objects published there is dropped.
    pub fn overflows(&mut self, who: Who, ids: &[&str]) {
        self.collect();
        let link = self.places[who].link.as_mut().unwrap();
        let urls: Vec<_> = ids.iter().map(|id| address(id)).collect();
        let texts: Vec<&str> = urls.iter().map(Address::as_str).collect();
        drops_published(&mut link.down, &texts);
        let objects = urls.iter().map(|url| self.published[url.as_str()]);
        let parked = node::Input::Parked(link.connection, objects.collect());
        self.node.handle(parked, self.now);
        self.collect();
    }

    /// A stalled link moves again: all that waits is taken.
    pub fn drains(&mut self, who: Who) {
        self.collect();
        let link = self.places[who].link.as_mut().unwrap();
        link.stalled = false;
        let drained = node::Input::Drained(link.connection);
        self.node.handle(drained, self.now);
        self.settles();
    }

    /// Too much waits for a connection: its driver dropped what the object at `url` published there.
    pub fn parks(&mut self, connection: ConnectionId, url: &str) {
        let objects = [self.published[url]].into();
        self.node_says(node::Input::Parked(connection, objects));
    }
}

fn drops_published(frames: &mut Frames, urls: &[&str]) {
    frames.retain(|frame| {
        let frame: Value = serde_json::from_str(frame).unwrap();
        let to = frame["to"].as_str().unwrap_or_default();
        let told = frame["id"] == Value::Null && frame["type"] != "response";
        let published = |url: &&str| match to.strip_prefix(*url) {
            Some("/changes") => frame["type"] == "update",
            Some(rest) => told && rest.starts_with("/children/"),
            None => false,
        };
        !urls.iter().any(published)
    });
}
