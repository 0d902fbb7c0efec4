//! What who holds an object hears of it because it holds it (protocol.md §9).

use byline_core::address::{Address, Resource, Target};

use super::Oracle;
use crate::world::Peer;

impl Oracle {
    /// Who holds the object hears what is said at its children, whether or not it may read: events, and where the node
    /// takes them all that is, and the head that wakes it when that was too much.
    pub(super) fn heard_by_holder(&self, peer: Peer, of_whom: &str, frame: &str) -> bool {
        let Target::Object(url, resource) = Target::of(of_whom) else {
            return false;
        };
        let taken = Address::parse(url).is_ok_and(|object| self.node_takes(&object));
        let about = match resource {
            Resource::Children(_) => taken || frame.contains("\"event\""),
            _ => taken && frame.contains("\"missed\":true"),
        };
        about && self.books.holder(url) == Some(peer)
    }
}

#[cfg(test)]
mod tests {
    use byline_core::identity::Key;
    use serde_json::json;

    use super::super::Rule;
    use super::*;
    use crate::totals::Totals;

    const ROOM: &str = "ctxt://localhost/room";
    const HOLDER: Peer = Peer::Place(0, 1);

    /// What is broken when the node says `body` of the room to `peer`, whose identity owns it, holds it there and denied
    /// itself.
    fn broken(peer: Peer, body: &serde_json::Value) -> Option<Rule> {
        let (mut oracle, mut totals) = (Oracle::default(), Totals::default());
        let (room, me) = (
            Address::parse(ROOM).unwrap(),
            Key::from_bytes(&[1; 32]).public().identity(),
        );
        oracle.new_author(&room, &me);
        let claim = json!({"url": ROOM, "schema": "Context", "reporter": "hyperty://localhost/r",
            "children": ["chat"], "cache": true, "access": {"public": true, "deny": [me]}});
        let claimed =
            json!({"code": 200, "epoch": 7, "position": [7, 0], "access": {}, "cache": true});
        let claim = serde_json::from_value(claim).unwrap();
        oracle.claimed((HOLDER, None), &claim, &claimed.to_string(), &mut totals);
        let changes = room.resource("changes");
        let frame = json!({"type": "update", "from": ROOM, "to": changes, "body": body});
        oracle.hears((peer, Some(&me)), &changes, &frame.to_string());
        oracle.into_broken().map(|broken| broken.rule)
    }

    #[test]
    fn who_holds_an_object_is_woken_whether_or_not_it_may_read() {
        let wakes = json!({"epoch": 7, "position": [7, 0], "live": true, "missed": true});
        assert_eq!(broken(HOLDER, &wakes), None);
        assert_eq!(broken(Peer::Place(2, 1), &wakes), Some(Rule::Access));
        let commit = json!({"epoch": 7, "version": 1, "attribute": "n", "value": 1});
        assert_eq!(broken(HOLDER, &commit), Some(Rule::Access));
    }
}
