//! A whole Hyperty Runtime on a socket that it reads when the test wants it to.

use std::sync::Arc;

use byline_core::address::Address;
use byline_core::identity::Key;
use byline_core::message::body::Access;
use byline_core::object::{Change, Path};
use byline_core::runtime::{Create, Input, Output, Runtime, Seat};
use byline_core::stream::{Changed, Position};
use byline_core::time::Time;
use serde_json::Value;

use super::clock::Node;
use super::{Client, FIN, TEXT};

/// No time-out is ever due: what a machine waits for must come.
const NOW: Time = Time::from_unix_ms(1_700_000_000_000);

#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) runtime: Runtime,
    pub(crate) client: Client,
    /// What its Observers were told.
    pub(crate) changes: Vec<(Seat, Changed)>,
    /// The last frame it sent.
    pub(crate) sent: String,
}

impl Machine {
    /// A runtime of the identity with this number, whose session is open.
    pub(crate) fn connect(node: &Node, number: u8) -> Self {
        let key = Key::from_bytes(&[number; 32]);
        let mut machine = Self {
            runtime: Runtime::new("localhost", key, [number; 32]),
            client: Client::connect(node),
            changes: vec![],
            sent: String::new(),
        };
        machine.tell(Input::Connected);
        // The challenge, and the 200.
        machine.take();
        machine.take();
        machine
    }

    /// Creates an object that everybody may read, afresh, and waits for its claim.
    pub(crate) fn creates(&mut self, id: &str, data: Value) -> Seat {
        let hyperty = self.runtime.hyperty("reporter").unwrap();
        let create = Create {
            schema: "Context".into(),
            data,
            url: Some(address(id)),
            access: Access {
                public: true,
                anonymous: true,
                ..Access::default()
            },
            cache: Some(false),
            discard: true,
            ..Create::default()
        };
        let seat = self.runtime.create(&hyperty, create, NOW).unwrap();
        self.perform();
        self.take();
        seat
    }

    /// Asks to observe an object, and waits for nothing.
    pub(crate) fn subscribes(&mut self, id: &str) -> Seat {
        let hyperty = self.runtime.hyperty("observer").unwrap();
        let seat = self.runtime.subscribe(&hyperty, address(id), NOW).unwrap();
        self.perform();
        seat
    }

    /// Sets a key and sends the commit.
    pub(crate) fn writes(&mut self, seat: &Seat, path: Path, value: Value) {
        let change = Change::Set { path, value };
        self.runtime.write(seat, vec![change], NOW).unwrap();
        self.perform();
    }

    /// Reads one frame and does what follows from it. Whether there was one.
    pub(crate) fn take(&mut self) -> bool {
        let Some(frame) = self.client.try_frame() else {
            return false;
        };
        if frame.first != FIN | TEXT {
            return false;
        }
        let text = String::from_utf8(frame.payload).unwrap();
        self.tell(Input::Received(&text));
        true
    }

    /// Takes whatever comes until the node closes the connection.
    pub(crate) fn serves(mut self) -> Self {
        while self.take() {}
        self
    }

    /// Takes what comes until the copy is at `position`.
    pub(crate) fn follows_to(&mut self, seat: &Seat, position: Option<Position>) {
        while self.position(seat) != position {
            assert!(self.take(), "the node hung up");
        }
    }

    pub(crate) fn position(&self, seat: &Seat) -> Option<Position> {
        let observer = self.runtime.observer(seat).and_then(|copy| copy.position());
        observer.or_else(|| self.runtime.reporter(seat)?.position())
    }

    /// The copy, or the original.
    pub(crate) fn data(&self, seat: &Seat) -> Arc<Value> {
        let observer = self.runtime.observer(seat).and_then(|copy| copy.data());
        observer.unwrap_or_else(|| self.runtime.reporter(seat).unwrap().data())
    }

    fn tell(&mut self, input: Input<'_>) {
        self.runtime.handle(input, NOW);
        self.perform();
    }

    fn perform(&mut self) {
        while let Some(output) = self.runtime.poll_output(NOW) {
            match output {
                Output::Send(frame) => {
                    self.client.send_text(&frame);
                    self.sent = frame;
                }
                Output::Changed(seat, changed) => self.changes.push((seat, changed)),
                Output::Refused(refusal) => panic!("{refusal:?}"),
                Output::Disconnect => panic!("the runtime gives its connection up"),
                _ => {}
            }
        }
    }
}

pub(crate) fn address(id: &str) -> Address {
    Address::object(&format!("ctxt://localhost/{id}")).unwrap()
}
