//! Links that are slower than what is sent on them.

use byline_core::node::{self, ConnectionId};
use serde_json::Value;

use super::{Who, World, address};

impl World {
    /// The runtime takes nothing from its link for now.
    pub fn stalls(&mut self, who: Who) {
        self.places[who].link.as_mut().unwrap().stalled = true;
    }

    /// Too much waits on a stalled link: what these objects published there is dropped.
    pub fn overflows(&mut self, who: Who, ids: &[&str]) {
        self.collect();
        let link = self.places[who].link.as_mut().unwrap();
        let urls: Vec<_> = ids.iter().map(|id| address(id)).collect();
        link.down.retain(|frame| {
            let frame: Value = serde_json::from_str(frame).unwrap();
            let published = frame["type"] == "update";
            !(published && urls.iter().any(|url| frame["from"] == url.as_str()))
        });
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
