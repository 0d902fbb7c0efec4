//! One Reporter, a few authors and readers, and a way between them that loses, repeats and swaps
//! commits: after a recovery every copy is the Reporter's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::answering::hash;
use super::{Act, ChildCommit, ChildId, Observed, Received, Reported, answer, digest, page};
use crate::address::Address;
use crate::object::{Change, Path};
use crate::stream::Position;
use crate::time::Time;

const NAME: &str = "chat";
const AUTHORS: usize = 3;
const READERS: usize = 2;
/// Long enough that the log and a page hold only a few.
const LONG: usize = 120_000;

#[derive(Clone, Debug)]
enum Step {
    Create {
        author: usize,
        made: u64,
        long: bool,
    },
    Update {
        author: usize,
        child: usize,
    },
    Delete {
        author: usize,
        child: usize,
    },
    Moderate {
        child: usize,
    },
    Close(bool),
    /// An author has lost its stream.
    Restart {
        author: usize,
    },
    Take {
        reader: usize,
        how: How,
    },
    Recover {
        reader: usize,
    },
}

#[derive(Clone, Copy, Debug)]
enum How {
    Well,
    Lost,
    Twice,
    Swapped,
}

#[derive(Clone)]
enum Frame {
    Commit(Arc<ChildCommit>),
    Content(String),
    Page(String),
}

#[derive(Default)]
struct Reader {
    observed: Observed,
    frames: VecDeque<Frame>,
    recovering: bool,
    paging: bool,
}

struct Author {
    hyperty: Address,
    epoch: u64,
}

struct Scene {
    reported: BTreeMap<String, Reported>,
    authors: Vec<Author>,
    readers: Vec<Reader>,
}

fn hyperty(number: usize) -> Address {
    Address::join("hyperty", "localhost", &number.to_string())
}

impl Scene {
    fn new() -> Self {
        // The first author is the Reporter.
        let author = |number| Author {
            hyperty: hyperty(number),
            epoch: 1,
        };
        Self {
            reported: BTreeMap::from([(NAME.to_owned(), Reported::new(hyperty(0), 6))]),
            authors: (0..AUTHORS).map(author).collect(),
            readers: (0..READERS).map(|_| Reader::default()).collect(),
        }
    }

    fn reported(&mut self) -> &mut Reported {
        self.reported.get_mut(NAME).unwrap()
    }

    fn does(&mut self, step: Step) {
        match step {
            Step::Create { author, made, long } => {
                let pad = "x".repeat(if long { LONG } else { 0 });
                let value = Arc::new(json!({"n": made, "pad": pad}));
                let hyperty = &self.authors[author].hyperty;
                let used = self.reported[NAME].collection.stream(hyperty.as_str());
                let number = used.map_or(0, |stream| stream.number) + 1;
                let id = ChildId::new(hyperty.clone(), number);
                self.commits(author, Act::Create(id, Time::from_unix_ms(made), value));
            }
            Step::Update { author, child } => {
                if let Some(id) = self.picked(child, Some(author)) {
                    let path = Path::root().child("n");
                    let value = json!(child);
                    self.commits(author, Act::Update(id, vec![Change::Set { path, value }]));
                }
            }
            Step::Delete { author, child } => {
                if let Some(id) = self.picked(child, Some(author)) {
                    self.commits(author, Act::Delete(id));
                }
            }
            Step::Moderate { child } => {
                if let Some(id) = self.picked(child, None) {
                    let of = self.reported().named(&[id]);
                    self.commits(0, Act::Moderate(of));
                }
            }
            Step::Close(closed) => self.commits(0, Act::Close(closed)),
            Step::Restart { author } => self.authors[author].epoch += 1,
            Step::Take { reader, how } => self.takes(reader, how),
            Step::Recover { reader } => self.recovers(reader),
        }
    }

    fn picked(&self, child: usize, author: Option<usize>) -> Option<ChildId> {
        let of = author.map(|author| &self.authors[author].hyperty);
        let children = self.reported[NAME].collection.iter();
        let mut ids = children.map(|(id, _)| id);
        let wanted = |id: &&ChildId| of.is_none_or(|of| id.author() == of);
        let ids: Vec<_> = ids.by_ref().filter(wanted).collect();
        ids.get(child % ids.len().max(1)).map(|id| (*id).clone())
    }

    /// What the Reporter takes is on its way to every reader; what it does not, is nowhere.
    fn commits(&mut self, author: usize, act: Act) {
        let Author { hyperty, epoch } = &self.authors[author];
        let (from, epoch) = (hyperty.clone(), *epoch);
        let mine = self.reported().collection.position(&from);
        let continues = mine.epoch == epoch;
        let seq = if continues { mine.version + 1 } else { 1 };
        let commit = ChildCommit {
            from,
            identity: None,
            position: Position::new(epoch, seq),
            base: (!continues).then_some(mine),
            act,
        };
        if self.reported().take(&commit).is_ok() {
            let commit = Arc::new(commit);
            for reader in &mut self.readers {
                reader.frames.push_back(Frame::Commit(Arc::clone(&commit)));
            }
        }
        if let Some(overdue) = self.reported().overdue(&BTreeSet::new()) {
            let act = self.reported().act(&overdue, Time::default());
            self.commits(0, act);
        }
    }

    fn recovers(&mut self, reader: usize) {
        let one = &mut self.readers[reader];
        if !std::mem::replace(&mut one.recovering, true) {
            one.paging = false;
            let have = one.observed.have();
            let answer = answer(&self.reported, &have, "hyperty://localhost/nobody", true);
            let body = serde_json::to_string(&answer).unwrap();
            one.frames.push_back(Frame::Content(body));
        }
    }

    fn takes(&mut self, reader: usize, how: How) {
        let frames = &mut self.readers[reader].frames;
        let commits = |at: usize| matches!(frames.get(at), Some(Frame::Commit(_)));
        match (how, commits(0), commits(1)) {
            (How::Swapped, true, true) => frames.swap(0, 1),
            (How::Twice, true, _) => {
                let first = frames.front().cloned().unwrap();
                frames.push_front(first);
            }
            (How::Lost, true, _) => {
                frames.pop_front();
                return;
            }
            _ => {}
        }
        let one = &mut self.readers[reader];
        let received = match one.frames.pop_front() {
            None => return,
            Some(Frame::Commit(commit)) => one.observed.commit(NAME, &commit),
            Some(Frame::Content(body)) => {
                one.recovering = false;
                one.observed.content(&body)
            }
            Some(Frame::Page(_)) if !one.paging => Received::default(),
            Some(Frame::Page(body)) => {
                one.paging = false;
                one.observed.page(&body)
            }
        };
        assert_eq!(received.closed, None);
        if received.recover {
            self.recovers(reader);
        }
        self.pages(reader);
    }

    fn pages(&mut self, reader: usize) {
        let one = &mut self.readers[reader];
        if one.recovering || one.paging {
            return;
        }
        if let Some((name, after)) = one.observed.next_page() {
            one.paging = true;
            let page = page(&self.reported, &name, after.as_ref(), &BTreeMap::new()).unwrap();
            let body = serde_json::to_string(&page).unwrap();
            one.frames.push_back(Frame::Page(body));
        }
    }

    /// No fault any more: whoever differs from the head that is sent recovers.
    fn comes_to_rest(&mut self) {
        for reader in 0..READERS {
            for _ in 0..10_000 {
                if self.readers[reader].frames.is_empty() {
                    let told = digest(&self.reported).unwrap();
                    let observed = &self.readers[reader].observed;
                    if !observed.is_empty() && observed.is_whole() && !observed.differs(told) {
                        break;
                    }
                    self.recovers(reader);
                }
                self.takes(reader, How::Well);
            }
        }
    }

    fn assert_equal(&self) {
        let theirs = &self.reported[NAME].collection;
        for reader in &self.readers {
            let mine = reader.observed.get(NAME).unwrap();
            assert!(mine.is_whole());
            assert!(mine.iter().eq(theirs.iter()));
            assert!(mine.positions().eq(theirs.positions()));
            assert!(
                mine.numbers().eq(theirs.numbers()),
                "what was used is known"
            );
            assert_eq!(mine.is_closed(), theirs.is_closed());
            let name = NAME.to_owned();
            let hashes = [mine, theirs].map(|one| hash([(&name, one)].into_iter()));
            assert_eq!(hashes[0], hashes[1]);
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let how = prop_oneof![
        6 => Just(How::Well),
        1 => Just(How::Lost),
        1 => Just(How::Twice),
        1 => Just(How::Swapped),
    ];
    let author = 0..AUTHORS;
    let child = 0..6_usize;
    prop_oneof![
        8 => (author.clone(), 0..20_u64, prop::bool::weighted(0.3))
            .prop_map(|(author, made, long)| Step::Create { author, made, long }),
        4 => (author.clone(), child.clone())
            .prop_map(|(author, child)| Step::Update { author, child }),
        2 => (author.clone(), child.clone())
            .prop_map(|(author, child)| Step::Delete { author, child }),
        1 => child.prop_map(|child| Step::Moderate { child }),
        1 => prop::bool::weighted(0.3).prop_map(Step::Close),
        1 => author.prop_map(|author| Step::Restart { author }),
        20 => (0..READERS, how).prop_map(|(reader, how)| Step::Take { reader, how }),
        1 => (0..READERS).prop_map(|reader| Step::Recover { reader }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn after_a_recovery_every_copy_is_the_reporters(
        steps in prop::collection::vec(step(), 0..150)
    ) {
        let mut scene = Scene::new();
        for step in steps {
            scene.does(step);
        }
        scene.comes_to_rest();
        scene.assert_equal();
    }
}
