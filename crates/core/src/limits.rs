//! The limits of protocol.md, appendix B: one place, so that no queue, buffer or map is without one.

/// Longest frame either side accepts, in bytes. A longer one closes its connection with 1009.
pub const FRAME_BYTES_MAX: usize = 8 << 20;
/// Largest encoded `data` of an object, in bytes.
pub const DATA_BYTES_MAX: usize = 4 << 20;
/// Largest encoded commit, in bytes.
pub const COMMIT_BYTES_MAX: usize = 1 << 20;
/// Largest encoded metadata of an object, in bytes.
pub const METADATA_BYTES_MAX: usize = 64 << 10;
/// Largest body of a commit, in bytes: its changes, and its place, author and time beside them.
pub const COMMIT_BODY_BYTES_MAX: usize = COMMIT_BYTES_MAX + (4 << 10);
/// Deepest nesting of `data`, and longest path.
pub const DEPTH_MAX: usize = 64;
/// Deepest nesting of a whole message: `data` and what the envelope puts around it.
pub const MESSAGE_DEPTH_MAX: usize = DEPTH_MAX + 8;
/// Longest address, in bytes.
pub const ADDRESS_BYTES_MAX: usize = 1024;

/// Longest token of a person, in bytes.
pub const TOKEN_BYTES_MAX: usize = 8 << 10;

/// Most commits a history keeps.
pub const HISTORY_COMMITS_MAX: usize = 1024;
/// Most bytes of encoded commits a history keeps.
pub const HISTORY_BYTES_MAX: usize = 1 << 20;
/// Most commits that rest behind a snapshot before they are folded into another.
pub const FOLD_COMMITS_MAX: usize = 1024;
/// Bytes of commits that rest behind a snapshot, however small that is, before they are folded.
pub const FOLD_BYTES_MIN: usize = 64 << 10;
/// Most commits an Observer keeps while one before them is missing.
pub const GAP_COMMITS_MAX: usize = 64;
/// Most bytes of encoded commits an Observer keeps while one before them is missing.
pub const GAP_BYTES_MAX: usize = 256 << 10;

/// Bytes that may wait for one connection. Over it routes are parked; where that does not help, the
/// connection is closed with 4008 (§7).
pub const QUEUE_BYTES_MAX: usize = 16 << 20;
/// Connections of a node at once. A further one is refused with 503: below what operating systems allow
/// a process to open.
pub const CONNECTIONS_MAX: usize = 16_000;
/// Bytes of messages that have come in part, of all connections together. Over it the connection whose
/// message began first is closed with 1013.
pub const UNFINISHED_BYTES_MAX: usize = 256 << 20;
/// Bytes that a node with a store may hold back until what was decided before is stored. Over it, its driver
/// reads no more from its sockets.
pub const HELD_BYTES_MAX: usize = 64 << 20;
/// Bytes that a node keeps of what objects hold, of all together, where its operator says nothing else.
pub const CONTENT_BYTES_MAX: usize = 1 << 30;
/// A Reporter hears at most this often what of its object survives a power cut of the node.
pub const STORED_SAID_MS: u64 = 200;
/// Requests for one object that the node may hold unanswered.
pub const UNANSWERED_PER_OBJECT_MAX: usize = 1024;
/// Requests of one session that the node may hold unanswered.
pub const UNANSWERED_PER_ASKER_MAX: usize = 64;
/// Longest request that waits for a Reporter to come back, in bytes.
pub const WAITING_BYTES_MAX: usize = 64 << 10;
/// Bytes of one session's requests that may wait at the node for somebody to answer them.
pub const WAITING_PER_ASKER_BYTES_MAX: usize = 1 << 20;
/// Requests a runtime has under way at once; those that are held do not count. Half of what the node
/// allows: an application's own find room beside a recovery of all copies.
pub const UNDER_WAY_MAX: usize = UNANSWERED_PER_ASKER_MAX / 2;
/// Identities and addresses in an object's `access`.
pub const ACCESS_ENTRIES_MAX: usize = 1024;
/// Hyperty addresses one session may own.
pub const HYPERTIES_PER_SESSION_MAX: usize = 1024;
/// Objects one session may hold or observe.
pub const OBJECTS_PER_SESSION_MAX: usize = 10_000;
/// Objects the node keeps a record of.
pub const OBJECTS_MAX: usize = 1_000_000;

/// A request without an answer fails after this long.
pub const REQUEST_MS: u64 = 15_000;
/// The node gives up a request that it forwarded after this long: later than its asker does.
pub const UNANSWERED_MS: u64 = 2 * REQUEST_MS;
/// A request answered 1xx may be held this long.
pub const HELD_MS: u64 = 24 * 3_600_000;
/// A lost socket keeps its session this long.
pub const GRACE_MS: u64 = 30_000;
/// A runtime asks its application for a newer token this long before the one it has ends, or a tenth of
/// that one's time where that is less.
pub const TOKEN_AHEAD_MS: u64 = 30_000;
/// A challenge can be answered this long.
pub const CHALLENGE_MS: u64 = 30_000;
/// A client that heard nothing for this long sends `ping`.
pub const SILENCE_MS: u64 = 40_000;
/// A Reporter sends a head with the hash when its object has been quiet for this long.
pub const QUIET_MS: u64 = 30_000;
/// The node sends one without, when none has come for this long.
pub const QUIET_UNSAID_MS: u64 = 40_000;
/// A commit carries a hash when the last one is at least this old.
pub const HASH_EVERY_MS: u64 = 5_000;
/// A commit carries no hash when `data` is larger, in bytes.
pub const HASH_BYTES_MAX: usize = 256 << 10;
/// A node without records takes no claim for this long after its start.
pub const FIRST_SECOND_MS: u64 = 1_000;
/// The first wait of a back-off.
pub const RETRY_FIRST_MS: u64 = 200;
/// The longest wait of a back-off.
pub const RETRY_LAST_MS: u64 = 30_000;
/// Readers of one object that the node remembers while they are away, so that a kick finds them.
pub const GRANTS_PER_OBJECT_MAX: usize = 65_536;
/// A claim record is kept this long after its last holder.
pub const RECORD_MS: u64 = 30 * 24 * 3_600_000;
/// Identities that own one object.
pub const OWNERS_MAX: usize = 16;
/// Identities that owned an object and handed it over, of which its node still tells readers.
pub const FORMER_OWNERS_MAX: usize = 64;
/// What a Reporter sends is withheld this long, while whom it hands its object to claims that.
pub const HANDOVER_MS: u64 = 5_000;
/// Bytes of it that are withheld; of more, all is given out.
pub const WITHHELD_BYTES_MAX: usize = 1 << 20;
/// Commands of one runtime that are not answered.
pub const COMMANDS_MAX: usize = 1024;
/// Earlier epochs of an object whose ends its Reporter knows.
pub const LINEAGE_MAX: usize = 64;
/// Questions of one kind about one object that wait for its application: who may read, what is to be
/// done. And invitations that wait for a runtime's.
pub const QUESTIONS_MAX: usize = 256;
/// Longest name of a method, in bytes.
pub const METHOD_BYTES_MAX: usize = 256;
/// Longest question that an application is asked, in bytes.
pub const QUESTION_BYTES_MAX: usize = 64 << 10;

/// Largest encoded child, in bytes.
pub const CHILD_BYTES_MAX: usize = 256 << 10;
/// Largest body of a child commit, in bytes: what it changes, and its place, author and time beside it.
pub const CHILD_BODY_BYTES_MAX: usize = CHILD_BYTES_MAX + (4 << 10);
/// Largest body of an event to an object's children, in bytes.
pub const EVENT_BODY_BYTES_MAX: usize = 64 << 10;
/// Children names of one object.
pub const CHILDREN_NAMES_MAX: usize = 16;
/// Bytes that a runtime has to say of one object and that wait until its children are stored; more is not said.
pub const UNSAID_BYTES_MAX: usize = 16 << 20;
/// Longest children name, in bytes.
pub const CHILDREN_NAME_BYTES_MAX: usize = 64;
/// Children of others that one commit of a Reporter deletes.
pub const MODERATED_MAX: usize = 64;
/// How far a child's `created` may be off the node's clock.
pub const CREATED_OFF_MS: u64 = 60_000;
/// Bytes of one session's child commits that wait at the node for their Reporter's answer.
pub const KEPT_PER_ASKER_BYTES_MAX: usize = 1 << 20;
/// Bytes of one object's child commits that wait at the node for its Reporter's answer.
pub const KEPT_PER_OBJECT_BYTES_MAX: usize = 16 << 20;

/// Children of one name that a Reporter keeps, when it does not say how many.
pub const KEEP_DEFAULT: usize = 10_000;
/// Most children of one name that a Reporter may keep.
pub const KEEP_MAX: usize = 100_000;
/// Bytes of children of one name that are kept, encoded.
pub const CHILDREN_BYTES_MAX: usize = 64 << 20;
/// Children that may be there beyond what is kept, until the oldest have left.
pub const CHILDREN_OVER_MAX: usize = 1024;
/// Bytes of children that may be there beyond what is kept, until the oldest have left.
pub const CHILDREN_OVER_BYTES_MAX: usize = 16 << 20;
/// Authors of one name.
pub const CHILDREN_AUTHORS_MAX: usize = 4096;
/// Deleted children of one name that a reader remembers until it has what leads to them.
pub const CHILDREN_GONE_MAX: usize = 1024;
/// Children on one page of an answer.
pub const PAGE_CHILDREN_MAX: usize = 200;
/// Bytes of children on one page of an answer; one child may be larger.
pub const PAGE_BYTES_MAX: usize = 256 << 10;
/// Bytes of children in one answer to `subscribe`; names that do not fit are read one by one.
pub const CHILDREN_ANSWER_BYTES_MAX: usize = 2 << 20;
/// Bytes of children's positions in one `have`; names that do not fit are paged anew.
pub const CHILDREN_HAVE_BYTES_MAX: usize = 32 << 10;
/// Commits of one author in one name that are not known to be safe.
pub const UNSAFE_COMMITS_MAX: usize = 1024;
/// Bytes of one author's commits in one name that are not known to be safe, when another is written; those that come to say
/// the whole child after a loss may be more.
pub const UNSAFE_BYTES_MAX: usize = 1 << 20;
/// Commits of one author in one name that are under way at once.
pub const UNSAFE_WINDOW: usize = 16;
/// The holder of an object is told at most this often who observes it.
pub const PRESENCE_MS: u64 = 200;
/// Observers of an object that its holder is told of by name at a time.
pub const PRESENCE_CHANGES_MAX: usize = 256;
/// Observers of an object whom its Reporter knows by name; of more it knows how many.
pub const AUDIENCE_MAX: usize = 1024;
/// Observers on one page of those who observe an object.
pub const OBSERVERS_PAGE_MAX: usize = 256;

/// Largest content of a file, in bytes.
pub const FILE_BYTES_MAX: usize = 5 << 20;
/// Largest chunk of a file, in bytes; files that are sent are divided into such.
pub const FILE_CHUNK_BYTES: usize = 128 << 10;
/// Chunks of one file.
pub const FILE_CHUNKS_MAX: u64 = 1024;
/// Longest name of a file, in bytes.
pub const FILE_NAME_BYTES_MAX: usize = 255;
/// Largest body that asks for a chunk of a file, in bytes.
pub const CHUNK_ASKED_BYTES_MAX: usize = 4 << 10;
/// Largest body that answers with a chunk of a file, in bytes.
pub const CHUNK_ANSWER_BYTES_MAX: usize = 256 << 10;
/// Chunks that a runtime is asked for and has not answered.
pub const CHUNKS_ASKED_MAX: usize = 1024;
/// Chunks of one file that are under way at once.
pub const FETCH_WINDOW: usize = 4;
/// Chunks of all files that a runtime has under way at once: others' requests find room beside them.
pub const CHUNKS_UNDER_WAY_MAX: usize = UNDER_WAY_MAX / 2;
/// Files that a runtime fetches, those that wait included.
pub const FETCHES_MAX: usize = 256;
/// Bytes of files that a runtime fetches at once; the others wait.
pub const FETCHING_BYTES_MAX: usize = 64 << 20;
/// Times in a row that nobody answers before a file is given up.
pub const FETCH_SILENCES_MAX: usize = 2 * FETCH_WINDOW;
/// Bytes of files that a runtime has sent, and keeps to be asked for.
pub const FILES_SENT_BYTES_MAX: usize = 64 << 20;
/// Bytes of files of others that a Reporter's runtime keeps; beyond, the oldest leave.
pub const FILES_KEPT_BYTES_MAX: usize = 64 << 20;
