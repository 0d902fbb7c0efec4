//! The targets of `byline_core::stream`: one commit, and an Observer that is sent anything.

use byline_core::address::Address;
use byline_core::limits::DEPTH_MAX;
use byline_core::message::decode;
use byline_core::object::{apply, nesting, parse};
use byline_core::stream::{
    Changed, Commit, CommitHeader, Head, ObserverStream, Origin, Position, Reaction,
};
use serde_json::{Value, json};

use crate::script::Script;

/// A document, a line's end, and the body of a commit.
pub(crate) fn commit(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (document, body) = text.split_once('\n').unwrap_or(("{}", text));
    let peeked = CommitHeader::peek(body);
    let Ok(commit) = Commit::decode(body) else {
        return;
    };
    let peeked = peeked.expect("the node takes what readers take");
    assert_eq!(
        (peeked.position, peeked.base),
        (commit.position, commit.base)
    );
    let written = commit.encode(&Address::join("hyperty", "localhost", "h"), "now");
    let again = Commit::decode(written.get()).expect("what was written is read");
    assert_eq!(again.changes, commit.changes);
    assert_eq!(
        (again.position, again.base, again.hash),
        (commit.position, commit.base, commit.hash)
    );
    let Ok(before) = parse(document) else { return };
    let mut data = before.clone();
    match apply(&mut data, &commit.changes) {
        Ok(applied) => {
            let text = data.to_string();
            assert_eq!(parse(&text).as_ref(), Ok(&data), "it is a document still");
            assert!(nesting(text.as_bytes()) <= DEPTH_MAX);
            assert!(applied.changed() || data == before);
            applied.undo(&mut data, &commit.changes);
        }
        Err(error) => assert!(error.change < commit.changes.len()),
    }
    assert_eq!(data, before);
}

/// Bodies of commits, heads and answers, in any order: whole ones, damaged ones, any text at all.
pub(crate) fn observer(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let mut run = Run::default();
    while let Some(step) = script.next() {
        match step % 8 {
            0 => {
                let body = script.text();
                run.takes(|observer| observer.commit(&body));
            }
            1 => {
                let body = script.text();
                run.takes(|observer| observer.content(&body));
            }
            2 => {
                if let Ok(head) = decode::<Head>(&script.text()) {
                    run.takes(|observer| observer.head(&head));
                }
            }
            3 => {
                let head = head(&mut script).to_string();
                if let Ok(head) = decode::<Head>(&script.damaged(head)) {
                    run.takes(|observer| observer.head(&head));
                }
            }
            4 | 5 => {
                let body = content(&mut script).to_string();
                let body = script.damaged(body);
                run.takes(|observer| observer.content(&body));
            }
            _ => {
                let body = change(&mut script).to_string();
                let body = script.damaged(body);
                run.takes(|observer| observer.commit(&body));
            }
        }
    }
}

/// The body of a commit near the start of a stream.
pub(crate) fn change(script: &mut Script<'_>) -> Value {
    let place = position(script);
    let mut body =
        json!({"epoch": place[0], "version": place[1], "source": "hyperty://localhost/h"});
    if script.below(3) == 0 {
        body["base"] = json!(position(script));
    }
    if script.below(8) == 7 {
        body["hash"] = json!("RBNvo1WzZ4oRRq0W9-hkng");
    }
    let one = match script.below(8) {
        0 => json!({"attribute": "n"}),
        1 => {
            json!({"attribute": "list.0", "attributeType": "array", "operation": "add", "value": [script.next()]})
        }
        2 => {
            json!({"attribute": "list.0", "attributeType": "array", "operation": "remove", "value": script.below(3)})
        }
        3 => {
            json!({"attribute": "text", "attributeType": "string", "operation": "add", "value": "more"})
        }
        4 => json!({"attribute": "", "value": {"n": 1, "list": [], "text": ""}}),
        5 => json!({"attribute": script.text(), "value": {"list": []}}),
        _ => json!({"attribute": "n", "value": script.next()}),
    };
    if script.below(4) == 0 {
        body["changes"] = json!([one, {"attribute": "n", "value": script.next()}]);
    } else if let (Some(body), Value::Object(one)) = (body.as_object_mut(), one) {
        body.extend(one);
    }
    body
}

/// The body of a 200 to a `subscribe`.
pub(crate) fn content(script: &mut Script<'_>) -> Value {
    let place = position(script);
    let epoch = u64::from(place[0]) + script.below(2) as u64;
    let mut body = json!({"code": 200, "epoch": epoch, "position": place});
    if script.below(8) == 7 {
        body["kept"] = json!(position(script));
    }
    match script.below(4) {
        0 => {}
        1 => body["commits"] = (0..script.below(4)).map(|_| change(script)).collect(),
        _ => {
            let data = json!({"n": script.next(), "list": [1, 2], "text": "x"});
            body["value"] = json!({"url": "ctxt://localhost/hall", "data": data});
        }
    }
    body
}

/// The body of a head.
pub(crate) fn head(script: &mut Script<'_>) -> Value {
    let place = position(script);
    let epoch = u64::from(place[0]) + script.below(2) as u64;
    json!({"epoch": epoch, "position": place, "reporter": "hyperty://localhost/h", "live": script.below(2) == 0})
}

fn position(script: &mut Script<'_>) -> [u8; 2] {
    let byte = script.next().unwrap_or(0);
    [7 + byte / 64, byte % 64]
}

/// An Observer, and the copy that its events make.
#[derive(Default)]
struct Run {
    observer: ObserverStream,
    mirror: Mirror,
}

impl Run {
    fn takes(&mut self, hand_over: impl FnOnce(&mut ObserverStream) -> Reaction) {
        let reaction = hand_over(&mut self.observer);
        assert!(
            reaction.closed.is_none() || !reaction.recover,
            "closed, or to be recovered"
        );
        for changed in &reaction.changed {
            self.mirror.takes(changed);
        }
        self.mirror.check(&self.observer);
    }
}

/// A copy made of nothing but events.
#[derive(Default)]
pub(crate) struct Mirror {
    data: Value,
    position: Option<Position>,
    steps: u64,
}

impl Mirror {
    pub(crate) fn takes(&mut self, changed: &Changed) {
        self.steps += 1;
        assert_eq!(changed.number, self.steps, "steps are counted");
        changed.apply_to(&mut self.data).expect("an event applies");
        let goes_on = Some(changed.position) >= self.position;
        assert!(
            goes_on || changed.origin == Origin::Rewound,
            "never back: {changed:?}"
        );
        self.position = Some(changed.position);
    }

    pub(crate) fn check(&self, observer: &ObserverStream) {
        assert_eq!(observer.position(), self.position);
        assert_eq!(observer.steps(), self.steps);
        assert_eq!(
            observer.data().as_deref(),
            self.position.map(|_| &self.data)
        );
    }
}
