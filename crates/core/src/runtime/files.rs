//! The contents of files (protocol.md §9) that this runtime has, sent by itself or kept as the Reporter's,
//! and the chunks of them that others ask for. `fetching.rs` asks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::fetching::Fetch;
use super::questions::Asker;
use super::{ChildError, Output, Runtime, Seat};
use crate::address::Address;
use crate::children::{
    ChildChangeKind, ChildId, ChildrenChanged, Chunk, ChunkWanted, FileDescription,
};
use crate::error::Refusal;
use crate::identity::Identity;
use crate::limits::{CHUNKS_ASKED_MAX, FILES_KEPT_BYTES_MAX, FILES_SENT_BYTES_MAX};
use crate::manager::closed_to_you;
use crate::message::{Header, Type, encode};
use crate::time::Time;

/// What a file is known by: its object, its collection, and the child that describes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileKey {
    pub(super) object: Address,
    pub(super) name: String,
    pub(super) id: ChildId,
}

/// A content that is here, and as what it is given away.
#[derive(Clone, Debug)]
pub(super) struct Content {
    pub(super) description: FileDescription,
    pub(super) bytes: Arc<[u8]>,
}

/// Contents, and how many bytes they have.
#[derive(Debug, Default)]
struct Shelf {
    contents: BTreeMap<FileKey, Content>,
    /// The oldest first.
    order: VecDeque<FileKey>,
    bytes: usize,
}

impl Shelf {
    fn put(&mut self, file: FileKey, content: Content) {
        self.take(&file);
        self.bytes += content.bytes.len();
        self.order.push_back(file.clone());
        self.contents.insert(file, content);
    }

    fn take(&mut self, file: &FileKey) {
        if let Some(content) = self.contents.remove(file) {
            self.bytes -= content.bytes.len();
            self.order.retain(|one| one != file);
        }
    }

    fn take_all(&mut self, gone: impl Fn(&FileKey) -> bool) {
        let gone: Vec<_> = self.order.iter().filter(|one| gone(one)).cloned().collect();
        gone.iter().for_each(|file| self.take(file));
    }
}

/// A chunk that somebody asks for.
#[derive(Debug)]
struct Asked {
    asker: Asker,
    file: FileKey,
    chunk: u64,
}

/// The files of one runtime.
#[derive(Debug, Default)]
pub(super) struct Files {
    sent: Shelf,
    kept: Shelf,
    /// The collections whose files are kept here.
    keeps: BTreeSet<(Address, String)>,
    /// What others ask for, in turn.
    asked: VecDeque<Asked>,
    /// Whether what was sent last is a chunk.
    chunk_was_last: bool,
    /// What is fetched, by its calls.
    pub(super) fetches: BTreeMap<u64, Fetch>,
}

impl Files {
    /// Keeps the files of these collections of an object.
    pub(super) fn keep_all(&mut self, object: &Address, names: BTreeSet<String>) {
        let of = names.into_iter().map(|name| (object.clone(), name));
        self.keeps.extend(of);
    }

    /// The collections of an object whose files are kept.
    pub(super) fn kept_names(&self, object: &Address) -> BTreeSet<String> {
        let from = (object.clone(), String::new());
        let of = self.keeps.range(from..).take_while(|(of, _)| of == object);
        of.map(|(_, name)| name.clone()).collect()
    }

    /// Keeps a content that was fetched; the oldest leave.
    pub(super) fn keep(&mut self, file: FileKey, content: Content) {
        self.kept.put(file, content);
        while self.kept.bytes > FILES_KEPT_BYTES_MAX
            && let Some(oldest) = self.kept.order.front().cloned()
        {
            self.kept.take(&oldest);
        }
    }

    /// The connection is gone, and those who asked on it were told.
    pub(super) fn cut(&mut self) {
        self.asked.clear();
        self.fetches.values_mut().for_each(Fetch::cut);
    }
}

impl Runtime {
    /// Makes a child that describes `content` as a file, and keeps the content to be asked for, until
    /// the child is removed or the runtime ends. Answered as [`Runtime::create_child`] is.
    ///
    /// # Errors
    /// [`ChildError`]; nothing was written then.
    pub fn send_file(
        &mut self,
        seat: &Seat,
        name: &str,
        file_name: &str,
        mimetype: &str,
        content: Arc<[u8]>,
        now: Time,
    ) -> Result<(ChildId, u64), ChildError> {
        let description = FileDescription::of(file_name, mimetype, &content)?;
        self.forget_removed();
        if self.files.sent.bytes + content.len() > FILES_SENT_BYTES_MAX {
            return Err(ChildError::Files);
        }
        let (id, call) = self.create_child(seat, name, description.to_value(), now)?;
        let file = FileKey {
            object: seat.object.clone(),
            name: name.to_owned(),
            id: id.clone(),
        };
        let bytes = content;
        self.files.sent.put(file, Content { description, bytes });
        Ok((id, call))
    }

    /// Lets go the contents whose children are gone, or were refused.
    fn forget_removed(&mut self) {
        let mut sent = std::mem::take(&mut self.files.sent);
        sent.take_all(|file| !self.is_own_file(file));
        self.files.sent = sent;
    }

    fn is_own_file(&self, file: &FileKey) -> bool {
        let seat = Seat {
            hyperty: file.id.author().clone(),
            object: file.object.clone(),
        };
        self.own_child(&seat, &file.name, &file.id).is_some()
    }

    /// The content of a file, when this runtime has it.
    pub(super) fn file(&self, file: &FileKey) -> Option<&Content> {
        let sent = self.files.sent.contents.get(file);
        let sent = sent.filter(|_| self.is_own_file(file));
        sent.or_else(|| self.files.kept.contents.get(file))
    }

    /// A collection made a step: what is added is kept where files are, what is removed is let go.
    pub(super) fn files_changed(&mut self, seat: &Seat, name: &str, step: &ChildrenChanged) {
        let keeps = &self.files.keeps;
        let keeps = keeps.contains(&(seat.object.clone(), name.to_owned()));
        for change in &step.changes {
            let file = || FileKey {
                object: seat.object.clone(),
                name: name.to_owned(),
                id: change.id.clone(),
            };
            match &change.kind {
                ChildChangeKind::Added(child) if keeps && *change.id.author() != seat.hyperty => {
                    if let Ok(description) = FileDescription::read(&child.value) {
                        self.fetch_to_keep(seat, file(), description);
                    }
                }
                ChildChangeKind::Removed { .. } => {
                    self.files.kept.take(&file());
                    self.fetches_of_removed(&file());
                }
                ChildChangeKind::Added(_) | ChildChangeKind::Updated { .. } => {}
            }
        }
    }

    /// It is over with a Reporter: what it has kept is of no use.
    pub(super) fn keeps_no_more(&mut self, object: &Address) {
        self.files.keeps.retain(|(of, _)| of != object);
        self.files.kept.take_all(|file| file.object == *object);
    }

    /// Somebody asks for a chunk. That it has a route, the node has seen.
    pub(super) fn chunk_asked(
        &mut self,
        url: &str,
        name: &str,
        header: &Header<'_>,
    ) -> Result<(), Refusal> {
        let wanted: ChunkWanted = header.decode()?;
        let file = FileKey {
            object: super::reporting::address(url)?,
            name: name.to_owned(),
            id: wanted.resource,
        };
        if self.manager.claims.contains_key(&file.object) {
            let hyperty = super::reporting::address(&header.from)?;
            let Sender { identity } = header.decode()?;
            let identity = self.stated(url, identity);
            let (object, identity) = (&file.object, identity.as_ref());
            let decided = self
                .manager
                .decides(object, &hyperty, identity, &self.identity);
            if decided == Some(false) {
                return Err(closed_to_you(url));
            }
        }
        let Some(content) = self.file(&file) else {
            return Err(not_here(&file.id));
        };
        let chunks = content.description.chunks();
        if wanted.chunk >= chunks {
            return Err(Refusal::malformed(format!(
                "field `body.chunk`: `{}` has {chunks} chunks, numbered from 0",
                file.id
            )));
        }
        if self.files.asked.len() >= CHUNKS_ASKED_MAX {
            return Err(Refusal::too_many(format!(
                "{CHUNKS_ASKED_MAX} chunks are asked for and not answered: try again later"
            )));
        }
        self.files.asked.push_back(Asked {
            asker: Asker::of(header),
            file,
            chunk: wanted.chunk,
        });
        Ok(())
    }

    /// The next chunk that was asked for. Each is written only when the socket takes it, and takes turns
    /// with the commits: neither holds the other up.
    pub(super) fn next_chunk(&mut self) -> Option<Output> {
        if std::mem::take(&mut self.files.chunk_was_last) && !self.dirty.is_empty() {
            return None;
        }
        let Asked { asker, file, chunk } = self.files.asked.pop_front()?;
        self.files.chunk_was_last = true;
        let bytes = self.file(&file).and_then(|content| {
            let range = content.description.range(chunk)?;
            Some(&content.bytes[range])
        });
        let (from, to) = (&asker.asked, &asker.address);
        Some(Output::Send(match bytes {
            Some(bytes) => encode(&asker.id, Type::Response, from, to, &Chunk::of(bytes)),
            None => encode(&asker.id, Type::Response, from, to, &not_here(&file.id)),
        }))
    }
}

/// Who asks, as the node states it.
#[derive(serde::Deserialize)]
struct Sender {
    identity: Option<Identity>,
}

fn not_here(id: &ChildId) -> Refusal {
    Refusal::unknown(format!("the content of `{id}` is not here, or no longer"))
}
