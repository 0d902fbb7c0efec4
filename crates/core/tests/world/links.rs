//! Links that are cut, made again, or dead without anybody knowing; a node that starts anew.

use byline_core::node::Node;
use byline_core::runtime;

use super::answers::Answers;
use super::{DOMAIN, InFlight, Who, World};

impl World {
    /// The link is cut and stays so; both sides know at once.
    pub fn cut(&mut self, who: Who, in_flight: InFlight) {
        self.collect();
        self.places[who].network = false;
        let Some(link) = self.places[who].link.take() else {
            return;
        };
        if in_flight == InFlight::Delivered {
            self.places[who].link = Some(link.clone());
            for frame in link.down {
                self.hands_to_runtime(who, &frame);
            }
            self.places[who].link = None;
            for frame in link.up {
                self.hands_to_node(link.connection, &frame);
            }
        }
        self.lost(link.connection);
        self.tell(who, runtime::Input::Disconnected(None));
    }

    /// The link can be made again; the runtime does so when it tries next.
    pub fn heals(&mut self, who: Who) {
        self.places[who].network = true;
    }

    /// Cut, and there again at once.
    pub fn blinks(&mut self, who: Who, in_flight: InFlight) {
        self.cut(who, in_flight);
        self.heals(who);
    }

    /// What is sent on the link vanishes, and neither side knows.
    pub fn goes_half_open(&mut self, who: Who) {
        self.collect();
        let link = self.places[who].link.as_mut().expect("there is a link");
        link.dead = true;
        link.up.clear();
        link.down.clear();
    }

    /// The node starts anew: without a disk it has forgotten everything.
    pub fn node_restarts(&mut self) {
        self.collect();
        self.nodes += 1;
        self.node = Node::new(DOMAIN, [201 + self.nodes; 32], self.now);
        if let Some(disk) = &mut self.disk {
            let rows = disk.after_a_power_cut();
            self.node.restore(rows, self.now).unwrap();
        }
        self.behind.clear();
        self.answers = Answers::default();
        for who in 0..self.places.len() {
            if self.places[who].link.take().is_some() {
                self.tell(who, runtime::Input::Disconnected(None));
            }
        }
    }
}
