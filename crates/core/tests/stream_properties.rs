//! Properties of streams and of the codecs around them, over arbitrary interleavings and texts.

use std::collections::BTreeSet;

use byline_core::address::{Address, Target};
use byline_core::message::{Header, Type, encode};
use byline_core::object::{Change, Hash, Metadata, Path};
use byline_core::stream::{
    Answer, Commit, CommitHeader, Head, History, ObserverStream, Origin, Position, ReporterStream,
    answer,
};
use byline_core::time::Time;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::documents::{cases, change, document, map_of};

/// What happens between a Reporter and its Observers, on a path that loses, repeats and reorders.
#[derive(Clone, Debug)]
enum Step {
    /// It writes so much.
    Write(u8),
    /// It claims again, and goes on.
    Claim,
    /// A head is sent.
    Head,
    /// Observer so-and-so asks; the answer is sent.
    Ask(Index),
    /// A frame reaches an Observer, and is on its way still when it comes twice.
    Deliver {
        to: Index,
        frame: Index,
        twice: bool,
    },
    /// A frame is lost.
    Lose(Index, Index),
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    prop_oneof![
        3 => (1..4_u8).prop_map(Step::Write),
        1 => Just(Step::Claim),
        1 => Just(Step::Head),
        2 => index().prop_map(Step::Ask),
        8 => (index(), index(), any::<bool>())
            .prop_map(|(to, frame, twice)| Step::Deliver { to, frame, twice }),
        1 => (index(), index()).prop_map(|(to, frame)| Step::Lose(to, frame)),
    ]
}

#[derive(Clone, Debug)]
enum Frame {
    Commit(String),
    Head(Head),
    Content(String),
}

/// A Reporter, two Observers, and what is on its way to each.
struct Run {
    reporter: ReporterStream,
    epoch: u64,
    base: Position,
    past: Vec<Value>,
    observers: Vec<(ObserverStream, Vec<Frame>, usize)>,
    written: u64,
}

fn hyperty() -> Address {
    Address::parse("hyperty://localhost/h").unwrap()
}

impl Run {
    fn new(pad: usize) -> Self {
        let data = json!({"n": 0, "list": [], "pad": "x".repeat(pad)});
        let metadata = Metadata::new("ctxt://localhost/kitchen");
        let mut reporter = ReporterStream::new(metadata, hyperty(), data.clone()).unwrap();
        let base = Position::new(10, 0);
        reporter.claimed(10, base);
        let observer = || (ObserverStream::new(), vec![], 0);
        Self {
            reporter,
            epoch: 10,
            base,
            past: vec![data],
            observers: vec![observer(), observer()],
            written: 0,
        }
    }

    fn head(&self) -> Head {
        Head {
            epoch: self.epoch,
            position: self.reporter.position().unwrap().max(self.base),
            reporter: hyperty(),
            identity: None,
            owners: BTreeSet::new(),
            live: true,
            since: None,
            hash: Some(Hash::of(&self.reporter.data())),
            children: None,
            missed: false,
            stored: None,
        }
    }

    fn send(&mut self, frame: &Frame) {
        for (_, frames, _) in &mut self.observers {
            frames.push(frame.clone());
        }
    }

    fn write(&mut self) {
        self.written += 1;
        let n = json!(self.written);
        let list = Path::root().child("list");
        let change = match self.written % 3 {
            0 => Change::Insert {
                path: list.child("0"),
                values: vec![n],
            },
            _ => Change::Set {
                path: Path::root().child("n"),
                value: n,
            },
        };
        let now = Time::from_unix_ms(self.written * 3_000);
        self.reporter.write(vec![change], now).unwrap();
        self.past.push(Value::clone(&self.reporter.data()));
        while let Some(body) = self.reporter.next_unsent().unwrap() {
            self.send(&Frame::Commit(body.get().to_owned()));
        }
    }

    fn deliver(&mut self, to: usize, frame: &Frame) -> Result<bool, TestCaseError> {
        let (observer, _, index) = &mut self.observers[to];
        let before = observer.position();
        let reaction = match frame {
            Frame::Commit(body) => observer.commit(body),
            Frame::Content(body) => observer.content(body),
            Frame::Head(head) => return Ok(observer.head(head).recover),
        };
        prop_assert_eq!(&reaction.closed, &None);
        prop_assert!(observer.position() >= before, "never back");
        prop_assert!(
            reaction
                .changed
                .iter()
                .all(|step| step.origin != Origin::Rewound)
        );
        prop_assert_eq!(observer.counters().divergences, 0);
        if let Some(data) = observer.data() {
            let found = self.past[*index..].iter().position(|one| *one == *data);
            prop_assert!(
                found.is_some(),
                "a state of the Reporter, and no earlier one"
            );
            *index += found.unwrap();
        }
        Ok(reaction.recover)
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Write(times) => (0..times).for_each(|_| self.write()),
            Step::Claim => {
                self.epoch += 1;
                self.base = self.reporter.position().unwrap();
                self.reporter.claiming();
                self.reporter.claimed(self.epoch, self.base);
            }
            Step::Head => self.send(&Frame::Head(self.head())),
            Step::Ask(of) => {
                let (observer, frames, _) = &mut self.observers[of.index(2)];
                frames.push(Frame::Content(
                    self.reporter.content(observer.have(), false),
                ));
            }
            Step::Deliver { to, frame, twice } => {
                let to = to.index(2);
                let frames = &mut self.observers[to].1;
                if frames.is_empty() {
                    return Ok(());
                }
                let index = frame.index(frames.len());
                let frame = if twice {
                    frames[index].clone()
                } else {
                    frames.remove(index)
                };
                self.deliver(to, &frame)?;
            }
            Step::Lose(to, frame) => {
                let frames = &mut self.observers[to.index(2)].1;
                if !frames.is_empty() {
                    frames.remove(frame.index(frames.len()));
                }
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn after_any_interleaving_one_recovery_makes_copies_equal(
        pad in prop_oneof![Just(0_usize), Just(4_000)],
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let mut run = Run::new(pad);
        for step in steps {
            run.step(step)?;
        }
        for to in 0..2 {
            let head = Frame::Head(run.head());
            if run.deliver(to, &head)? {
                let have = run.observers[to].0.have();
                let content = Frame::Content(run.reporter.content(have, false));
                prop_assert!(!run.deliver(to, &content)?, "one recovery is enough");
            }
            let observer = &run.observers[to].0;
            prop_assert_eq!(observer.position(), run.reporter.position());
            let (mine, theirs) = (observer.data().unwrap(), run.reporter.data());
            prop_assert_eq!(Hash::of(&mine), Hash::of(&theirs));
            // What is still on its way changes nothing any more.
            for frame in std::mem::take(&mut run.observers[to].1) {
                run.deliver(to, &frame)?;
            }
            prop_assert_eq!(run.observers[to].0.position(), run.reporter.position());
        }
    }

    #[test]
    fn an_answer_is_exactly_what_is_missing(
        lengths in prop::collection::vec(1..3_000_usize, 0..1_200),
        epochs in prop::collection::vec(any::<Index>(), 0..3),
        have in (0..4_u64, 0..1_300_u64),
        snapshot_bytes in 0..100_000_usize,
    ) {
        let new_at: Vec<usize> = epochs.iter().map(|at| at.index(lengths.len().max(1))).collect();
        let mut history = History::new(Position::new(1, 0));
        let mut all = vec![Position::new(1, 0)];
        for (index, length) in lengths.iter().enumerate() {
            let last = *all.last().unwrap();
            let epoch = last.epoch + u64::from(new_at.contains(&index));
            let position = Position::new(epoch, last.version + 1);
            let body = serde_json::to_string(&(position, "x".repeat(*length))).unwrap();
            history.push(position, RawValue::from_string(body).unwrap().into());
            all.push(position);
        }
        let have = Position::new(have.0, have.1);
        let Answer::Commits(commits) = answer(Some(have), &history, snapshot_bytes) else {
            return Ok(());
        };
        let place = all.iter().position(|one| *one == have);
        prop_assert!(place.is_some(), "{} is no position of the stream", have);
        let missing = &all[place.unwrap() + 1..];
        let told: Vec<Position> = commits
            .iter()
            .map(|body| serde_json::from_str::<(Position, String)>(body.get()).unwrap().0)
            .collect();
        prop_assert_eq!(&told[..], missing);
        prop_assert!(commits.iter().map(|body| body.get().len()).sum::<usize>() <= snapshot_bytes);
    }

    #[test]
    fn a_message_is_read_as_it_was_written(
        id in prop_oneof![any::<u64>().prop_map(Value::from), "\\PC{0,20}".prop_map(Value::from)],
        from in ".{0,30}",
        to in ".{0,30}",
        body in prop::collection::btree_map(".{0,8}", any::<i32>(), 0..4),
    ) {
        let id = id.to_string();
        let text = encode(&id, Type::Execute, &from, &to, &body);
        let header = Header::peek(&text).unwrap();
        prop_assert_eq!((header.id, header.kind), (&*id, Type::Execute));
        prop_assert_eq!((&*header.from, &*header.to), (&*from, &*to));
        let read: std::collections::BTreeMap<String, i32> = header.decode().unwrap();
        prop_assert_eq!(read, body);
    }

    #[test]
    fn no_text_is_too_odd_to_be_refused(
        text in prop_oneof![
            any::<String>(),
            "[\\[\\]{}\",:\\\\a-z0-9 .-]{0,60}",
            r#"\{"id":[0-9"\[{tn]{1,3},"type":"(update|x|RESPONSE)","from":"[a-z/:]{0,9}","to":"[a-z/:]{0,30}","body":[{}\["a0:,]{0,9}\}"#,
        ],
    ) {
        if let Ok(header) = Header::peek(&text) {
            let _ = (header.is_request(), Target::of(&header.to));
            let _ = (CommitHeader::peek(header.body), Commit::decode(header.body));
        }
        let _ = (Address::parse(&text), Address::object(&text), Target::of(&text));
        let _ = (CommitHeader::peek(&text), Commit::decode(&text));
        let mut observer = ObserverStream::new();
        let _ = (observer.commit(&text), observer.content(&text));
    }

    #[test]
    fn a_commit_is_read_as_it_was_written(
        changes in prop::collection::vec(change(), 1..4),
        metadata in document(),
        (epoch, version) in (1..1_u64 << 53, 1..1_u64 << 53),
        base in prop::option::of((0..1_u64 << 53, 0..1_u64 << 53)),
        hash in prop::option::of(any::<[u8; 16]>()),
    ) {
        let mut commit = Commit {
            position: Position::new(epoch, version),
            base: base.map(|(epoch, version)| Position::new(epoch, version)),
            changes,
            metadata: map_of(metadata),
            hash: hash.map(Hash::from),
            bytes: 0,
        };
        let body = commit.encode(&hyperty(), "2026-11-21T10:00:00Z");
        commit.bytes = body.get().len();
        let peeked = CommitHeader::peek(body.get()).unwrap();
        prop_assert_eq!((peeked.position, peeked.base), (commit.position, commit.base));
        prop_assert_eq!(Commit::decode(body.get()).unwrap(), commit);
    }
}
