//! The target of `byline_core::runtime`: one that reports, observes and reads, and a node that says
//! anything.

use std::collections::{BTreeMap, VecDeque};

use byline_core::address::Address;
use byline_core::identity::Key;
use byline_core::limits::HELD_MS;
use byline_core::message::Header;
use byline_core::message::body::Access;
use byline_core::runtime::{Create, Input, Output, Runtime, Seat};
use byline_core::time::Time;
use serde_json::{Value, json};

use crate::script::Script;
use crate::stream::{self, Mirror};

const KITCHEN: &str = "ctxt://localhost/kitchen";
const HALL: &str = "ctxt://localhost/hall";
const READER: &str = "hyperty://localhost/reader";
const WAITS_MS: [u64; 6] = [0, 200, 5_000, 15_000, 40_000, HELD_MS];
/// More than one input can rightly cause.
const OUTPUTS_MAX: usize = 10_000;
/// Requests that may be answered: the older ones are forgotten here.
const ASKED_MAX: usize = 16;

/// Answers, commits, heads and requests: whole ones, damaged ones, any text at all; a connection
/// that comes and goes.
pub(crate) fn runtime(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let Some(mut run) = Run::new() else { return };
    while let Some(step) = script.next() {
        match step % 12 {
            0 => {
                let text = script.text();
                run.hears(&text);
            }
            1 => run.passes(script.pick(&WAITS_MS)),
            2 => run.disconnects(script.pick(&[None, Some(1012), Some(4001), Some(4008)])),
            3 => run.writes(script.below(4)),
            4 => run.calls(&mut script),
            5 | 6 => {
                let frame = update(&mut script).to_string();
                run.hears(&script.damaged(frame));
            }
            7 => {
                let frame = request(&run, &mut script).to_string();
                run.hears(&script.damaged(frame));
            }
            _ => {
                let frame = run.answer(&mut script).to_string();
                run.hears(&script.damaged(frame));
            }
        }
    }
    run.passes(HELD_MS);
}

struct Run {
    runtime: Runtime,
    now: Time,
    reporter: Seat,
    observer: Seat,
    /// Requests of the runtime, the newest last: id, from, to.
    asked: VecDeque<(Value, String, String)>,
    mirrors: BTreeMap<Seat, Mirror>,
    reads: BTreeMap<u64, usize>,
    done: BTreeMap<u64, usize>,
}

impl Run {
    /// A runtime that is connected, and has asked for its session.
    fn new() -> Option<Self> {
        let now = Time::from_unix_ms(1_700_000_000_000);
        let mut runtime = Runtime::new("localhost", Key::from_bytes(&[1; 32]), [2; 32]);
        let hyperty = runtime.hyperty("h").ok()?;
        let create = Create {
            schema: "Context".into(),
            data: json!({"n": 0}),
            url: Address::object(KITCHEN).ok(),
            access: Access {
                public: true,
                ..Access::default()
            },
            ..Create::default()
        };
        let reporter = runtime.create(&hyperty, create, now).ok()?;
        let observer = runtime
            .subscribe(&hyperty, Address::object(HALL).ok()?, now)
            .ok()?;
        let mut run = Self {
            runtime,
            now,
            reporter,
            observer,
            asked: VecDeque::new(),
            mirrors: BTreeMap::new(),
            reads: BTreeMap::new(),
            done: BTreeMap::new(),
        };
        run.collect();
        Some(run)
    }

    fn hears(&mut self, frame: &str) {
        self.runtime.handle(Input::Received(frame), self.now);
        self.collect();
    }

    fn passes(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        self.runtime.handle(Input::Timeout, self.now);
        self.collect();
    }

    fn disconnects(&mut self, code: Option<u16>) {
        self.runtime.handle(Input::Disconnected(code), self.now);
        self.collect();
    }

    fn writes(&mut self, times: usize) {
        for n in 0..times {
            // Refused when the Reporter is closed.
            _ = self
                .runtime
                .replace(&self.reporter, json!({ "n": n }), self.now);
        }
        self.collect();
    }

    fn calls(&mut self, script: &mut Script<'_>) {
        let (hyperty, hall) = (self.observer.hyperty.clone(), self.observer.object.clone());
        match script.below(5) {
            0 => _ = self.runtime.deliver(self.now),
            1 => {
                if let Ok(call) = self.runtime.read(&hyperty, hall, self.now) {
                    self.reads.insert(call, 0);
                }
            }
            2 => {
                let (reporter, now) = (self.reporter.clone(), self.now);
                _ = match script.below(4) {
                    0 => self.runtime.kick(&reporter, READER, "out", now),
                    1 => self.runtime.allow(&reporter, READER, now),
                    2 => self.runtime.access(&reporter, Access::default(), now),
                    _ => self.runtime.delete(&reporter, now),
                };
            }
            3 => {
                self.runtime.unsubscribe(&self.observer, self.now);
                self.mirrors.remove(&self.observer);
            }
            _ => {
                // Again, from nothing: refused when it is there already.
                if self.runtime.subscribe(&hyperty, hall, self.now).is_ok() {
                    self.mirrors.remove(&self.observer);
                }
            }
        }
        self.collect();
    }

    /// Performs what the runtime puts out, and checks it.
    fn collect(&mut self) {
        for _ in 0..OUTPUTS_MAX {
            let Some(output) = self.runtime.poll_output(self.now) else {
                return self.check();
            };
            match output {
                Output::Connect => self.runtime.handle(Input::Connected, self.now),
                Output::Disconnect => self.runtime.handle(Input::Disconnected(None), self.now),
                Output::Send(frame) => {
                    let header = Header::peek(&frame).expect("the runtime sends messages");
                    if header.is_request() {
                        let id = serde_json::from_str(header.id).expect("an id is JSON");
                        self.asked
                            .push_back((id, header.from.to_string(), header.to.to_string()));
                        if self.asked.len() > ASKED_MAX {
                            self.asked.pop_front();
                        }
                    }
                }
                Output::Changed(seat, changed) => {
                    self.mirrors.entry(seat).or_default().takes(&changed);
                }
                Output::Read(call, _) => {
                    let answers = self.reads.entry(call).or_default();
                    *answers += 1;
                    assert_eq!(*answers, 1, "a read is answered once");
                }
                Output::Done(call, _) => {
                    let answers = self.done.entry(call).or_default();
                    *answers += 1;
                    assert_eq!(*answers, 1, "a command is answered once");
                }
                Output::Children(..)
                | Output::Event(..)
                | Output::Rejected(..)
                | Output::Reporter(..)
                | Output::Asked(..)
                | Output::Presence(..)
                | Output::Observers(..)
                | Output::Invited(..)
                | Output::Executing(..)
                | Output::Answered(..)
                | Output::Fetching(..)
                | Output::Fetched(..)
                | Output::Gone(..)
                | Output::Observer(..)
                | Output::Delivered(_)
                | Output::Store(_)
                | Output::Flushed(..)
                | Output::Connection(_)
                | Output::NeedsToken
                | Output::Refused(_) => {}
            }
        }
        panic!("the runtime does not come to rest");
    }

    fn check(&self) {
        for (seat, mirror) in &self.mirrors {
            if let Some(observer) = self.runtime.observer(seat) {
                mirror.check(observer);
            }
        }
    }

    /// An answer to one of the last requests.
    fn answer(&self, script: &mut Script<'_>) -> Value {
        let back = script
            .below(ASKED_MAX)
            .min(self.asked.len().saturating_sub(1));
        let asked = self.asked.iter().rev().nth(back).cloned();
        let (id, from, to) = asked.unwrap_or_default();
        let head = stream::head(script);
        let content = stream::content(script);
        let body = match script.below(10) {
            0 => json!({"code": 401, "challenge": "c", "desc": "sign it"}),
            1 => json!({"code": 200, "runtimeToken": "t"}),
            2 => json!({"code": 200, "runtimeToken": "t", "fresh": script.below(2) == 0,
                "claims": {KITCHEN: head["position"]}, "heads": {HALL: head}}),
            3 => json!({"code": 200, "epoch": head["epoch"], "position": head["position"],
                "access": {"public": true}, "cache": false}),
            4 => json!({"code": script.pick(&[102_u16, 199]), "desc": "wait"}),
            5 => {
                json!({"code": script.pick(&[403_u16, 404, 408, 409, 429, 503]), "desc": "diverged: no",
                "retry": script.pick(&["never", "now", "soon"])})
            }
            6 => json!({"code": 200, "access": {"public": script.below(2) == 0}}),
            7 => {
                json!({"code": 207, "objects": {HALL: {"code": script.pick(&[102_u16, 403, 503])}}})
            }
            _ => content,
        };
        json!({"id": id, "type": "response", "from": to, "to": from, "body": body})
    }
}

/// A commit or a head of one of the objects.
fn update(script: &mut Script<'_>) -> Value {
    let object = script.pick(&[HALL, HALL, HALL, KITCHEN]);
    let body = match script.below(3) {
        0 => stream::head(script),
        _ => stream::change(script),
    };
    json!({"type": "update", "from": object, "to": format!("{object}/changes"), "body": body})
}

/// What a node forwards or tells: a reader, a command, the end of an object, anything else.
fn request(run: &Run, script: &mut Script<'_>) -> Value {
    let manager = "domain://msg-node.localhost/sm";
    let place = stream::head(script);
    let mut body = json!({"source": READER, "have": {"data": place["position"]}});
    if script.below(2) == 0 {
        body["identity"] = json!("user-guid://somebody");
    }
    let (kind, from, to) = match script.below(6) {
        0 => ("subscribe", READER, format!("{KITCHEN}/subscription")),
        1 => ("read", READER, KITCHEN.to_owned()),
        2 | 3 => {
            body = match script.below(3) {
                0 => json!({"method": "superseded", "params": [KITCHEN, place["epoch"]]}),
                1 => {
                    json!({"method": "revoked", "params": [HALL, run.observer.hyperty, 503, "ask again"]})
                }
                _ => json!({"method": "access", "params": [KITCHEN, {"public": false}]}),
            };
            ("execute", manager, format!("{}/sm", run.runtime.url()))
        }
        4 => {
            let object = script.pick(&[KITCHEN, HALL]);
            let (from, to) = (
                format!("{object}/subscription"),
                format!("{object}/changes"),
            );
            return json!({"type": "delete", "from": from, "to": to, "body": {}});
        }
        _ => (
            script.pick(&["delete", "ping", "sing"]),
            READER,
            HALL.to_owned(),
        ),
    };
    json!({"id": script.next(), "type": kind, "from": from, "to": to, "body": body})
}
