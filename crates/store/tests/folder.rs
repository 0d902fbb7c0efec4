//! What a folder does beside keeping rows: whom it lets in, what it tells, how it is copied.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod scratch;

use std::fs;
use std::path::Path;

use byline_core::storage::{Batch, Row, Table};
use byline_store::{Folder, Store, StoreError, Whose, backup};

use scratch::Scratch;

fn node() -> Whose {
    Whose::Node {
        domain: "localhost".to_owned(),
    }
}

fn open(path: &Path) -> Result<Folder, StoreError> {
    Folder::open(path, &node(), None)
}

fn rows(store: &Folder) -> Result<Vec<Row>, StoreError> {
    store.rows()?.collect()
}

/// Ten rows of so many bytes each.
fn ten(table: Table, bytes: usize) -> Batch {
    let mut batch = Batch::default();
    for number in 0..10_u8 {
        batch.put(table, [number], vec![number; bytes]);
    }
    batch
}

fn error(opened: Result<Folder, StoreError>) -> StoreError {
    opened.map(|_| ()).unwrap_err()
}

#[test]
fn a_second_one_is_told_who_has_it() {
    let scratch = Scratch::new();
    let path = scratch.path("store");
    let first = open(&path).unwrap();
    let locked = error(open(&path));
    let own = std::process::id();
    assert!(matches!(locked, StoreError::Locked { by: Some(id), .. } if id == own));
    assert_eq!(
        locked.to_string(),
        format!(
            "{} is in use by process {own}: stop that, or choose another folder",
            path.display()
        )
    );
    drop(first);
    open(&path).unwrap();
}

#[test]
fn only_its_owner_is_let_in_and_nobody_else_reads_it() {
    let scratch = Scratch::new();
    let path = scratch.path("deep/store");
    drop(Folder::open(&path, &Whose::Runtime, None).unwrap());
    let whose = error(open(&path));
    assert!(
        whose.to_string().ends_with(
            "belongs to a runtime and not to the node of localhost: choose another folder"
        ),
        "{whose}"
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        for entry in fs::read_dir(&path).unwrap() {
            assert_eq!(mode(&entry.unwrap().path()), 0o600);
        }
    }
}

#[test]
fn what_was_left_half_made_is_made_anew() {
    let scratch = Scratch::new();
    let path = scratch.path("store");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("store.redb.new"), "half of it").unwrap();
    drop(open(&path).unwrap());
    let mut names: Vec<_> = fs::read_dir(&path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["lock", "store.redb"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_cannot_be_written_is_told() {
    // Whoever this runs as makes no files there.
    for path in ["/sys/kernel", "/sys/kernel/byline"] {
        let read_only = error(open(Path::new(path)));
        assert!(
            matches!(read_only, StoreError::ReadOnly(_)),
            "{path}: {read_only}"
        );
    }
}

#[test]
fn a_file_that_is_something_else_is_told_and_left_alone() {
    let scratch = Scratch::new();
    let path = scratch.path("store");
    let file = path.join("store.redb");
    drop(open(&path).unwrap());
    let whole = fs::read(&file).unwrap();
    let diary = b"dear diary ".repeat(1_000);
    for content in [
        &b""[..],
        &diary[..],
        &whole[..whole.len() / 2],
        &whole[..100],
    ] {
        fs::write(&file, content).unwrap();
        let damaged = error(open(&path));
        assert!(
            matches!(damaged, StoreError::Damaged { .. }),
            "{} bytes: {damaged}",
            content.len()
        );
        assert_eq!(fs::read(&file).unwrap(), content);
    }
}

/// No byte that the disk alters is taken for what was written: it is told, or nobody had need of it.
#[test]
fn a_byte_that_was_altered_is_told() {
    let scratch = Scratch::new();
    let path = scratch.path("store");
    let file = path.join("store.redb");
    let mut store = open(&path).unwrap();
    for table in [Table::Claims, Table::Commits, Table::Snapshots] {
        store.commit(&ten(table, 1_500)).unwrap();
    }
    let before = rows(&store).unwrap();
    drop(store);
    let whole = fs::read(&file).unwrap();
    let mut told = 0;
    // Some of the header, then one byte of each half of a page.
    let header = (0..320).step_by(7);
    for at in header.chain((320..whole.len()).step_by(2_039)) {
        let mut altered = whole.clone();
        altered[at] ^= 0x41;
        fs::write(&file, altered).unwrap();
        match open(&path).and_then(|store| rows(&store)) {
            Ok(after) => assert_eq!(after, before, "byte {at}"),
            Err(StoreError::Damaged { .. }) => told += 1,
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
    assert!(told > 20, "told of {told}");
}

#[test]
fn a_quota_stops_what_outgrows_it_and_keeps_what_is_there() {
    let scratch = Scratch::new();
    let path = scratch.path("store");
    let quota = 3 << 20;
    let mut store = Folder::open(&path, &node(), Some(quota)).unwrap();
    store.commit(&ten(Table::Claims, 10)).unwrap();
    let large = ten(Table::Snapshots, 200_000);
    store.commit(&large).unwrap();
    let before = rows(&store).unwrap();
    let too_much = ten(Table::Children, 400_000);
    for _ in 0..2 {
        let over = store.commit(&too_much).unwrap_err();
        assert!(
            over.to_string().ends_with(
                "may keep 3145728 bytes and has more to keep: start with a larger quota"
            ),
            "{over}"
        );
        assert_eq!(rows(&store).unwrap(), before);
    }
    // What takes the place of something else goes in, and so does what there is now room for.
    for _ in 0..10 {
        store.commit(&large).unwrap();
    }
    let mut less = ten(Table::Children, 200_000);
    less.remove_range(Table::Snapshots, vec![0]..vec![5]);
    store.commit(&less).unwrap();
    drop(store);

    // Even beyond a quota that was made smaller, it shrinks.
    let mut store = Folder::open(&path, &node(), Some(1 << 20)).unwrap();
    let mut fewer = Batch::default();
    fewer.remove_range(Table::Snapshots, vec![5]..vec![7]);
    store.commit(&fewer).unwrap();
    assert!(matches!(
        store.commit(&large),
        Err(StoreError::Quota { .. })
    ));
    drop(store);
    let mut store = Folder::open(&path, &node(), Some(2 * quota)).unwrap();
    store.commit(&too_much).unwrap();
    assert_eq!(rows(&store).unwrap().len(), 23);
}

#[test]
fn a_backup_is_taken_while_the_store_is_written() {
    let scratch = Scratch::new();
    let (path, copy) = (scratch.path("store"), scratch.path("copy"));
    let mut store = open(&path).unwrap();
    store.commit(&ten(Table::Claims, 1_000)).unwrap();
    let before = rows(&store).unwrap();
    backup(&path, &copy).unwrap();
    store.commit(&ten(Table::Children, 1_000)).unwrap();
    assert_eq!(rows(&open(&copy).unwrap()).unwrap(), before);
    assert_eq!(rows(&store).unwrap().len(), 20);

    // Batches of ten rows are stored meanwhile: each is in the copy, or it is not.
    let writing = std::thread::spawn(move || {
        for table in [Table::Commits, Table::Snapshots, Table::Grants, Table::Keys] {
            for _ in 0..20 {
                store.commit(&ten(table, 5_000)).unwrap();
            }
        }
    });
    for number in 0.. {
        let copy = scratch.path(&format!("copy {number}"));
        backup(&path, &copy).unwrap();
        assert_eq!(rows(&open(&copy).unwrap()).unwrap().len() % 10, 0);
        if writing.is_finished() {
            break;
        }
    }
    writing.join().unwrap();
}

#[test]
fn a_backup_is_taken_when_nobody_has_the_store_and_writes_over_nothing() {
    let scratch = Scratch::new();
    let (path, copy) = (scratch.path("store"), scratch.path("copy"));
    assert!(backup(&path, &copy).is_err(), "there is no store yet");
    let mut store = open(&path).unwrap();
    store.commit(&ten(Table::Claims, 1_000)).unwrap();
    let before = rows(&store).unwrap();
    drop(store);
    backup(&path, &copy).unwrap();
    assert_eq!(rows(&open(&copy).unwrap()).unwrap(), before);
    assert!(matches!(backup(&path, &copy), Err(StoreError::Exists(_))));
    let left: Vec<_> = fs::read_dir(scratch.path("")).unwrap().collect();
    assert_eq!(left.len(), 2, "{left:?}");

    // An empty folder may be where a disk is mounted.
    let mounted = scratch.path("mounted");
    fs::create_dir(&mounted).unwrap();
    assert_eq!(backup(&copy, &mounted).unwrap(), node());
    assert_eq!(rows(&open(&mounted).unwrap()).unwrap(), before);
    assert!(matches!(
        backup(&path, &mounted),
        Err(StoreError::Exists(_))
    ));
}

/// A store that was written once and opens for ever.
#[test]
fn a_store_of_format_1_opens() {
    let scratch = Scratch::new();
    let path = scratch.path("store");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("store.redb"), fixture::format_1()).unwrap();
    let found = rows(&open(&path).unwrap()).unwrap();
    assert_eq!(found, fixture::rows());
}

mod fixture {
    use byline_core::storage::{Row, Table, key};

    /// The tables that there were.
    const TABLES: [Table; 14] = [
        Table::Keys,
        Table::Addresses,
        Table::Claims,
        Table::Positions,
        Table::Grants,
        Table::Tombstones,
        Table::Snapshots,
        Table::Commits,
        Table::Unnumbered,
        Table::Children,
        Table::Collections,
        Table::ChildCommits,
        Table::ChildWrites,
        Table::Registry,
    ];

    /// What the file in the fixture was made with.
    pub(crate) fn rows() -> Vec<Row> {
        let row = |table: Table| Row {
            table,
            key: key(&[b"ctxt://localhost/kitchen", table.name().as_bytes()]),
            value: format!(r#"{{"table":"{}"}}"#, table.name()).into_bytes(),
        };
        TABLES.map(row).into()
    }

    /// The file's length, then where which bytes stand, how many times; everything else is 0.
    pub(crate) fn format_1() -> Vec<u8> {
        let mut lines = include_str!("fixtures/format-1.txt").lines();
        let mut file = vec![0; lines.next().unwrap().parse().unwrap()];
        for line in lines {
            let [at, digits, times] = *line.split(' ').collect::<Vec<_>>() else {
                panic!("{line}");
            };
            let bytes: Vec<_> = (0..digits.len())
                .step_by(2)
                .map(|digit| u8::from_str_radix(&digits[digit..digit + 2], 16).unwrap())
                .collect();
            let (at, times): (usize, usize) = (at.parse().unwrap(), times.parse().unwrap());
            file[at..at + bytes.len() * times].copy_from_slice(&bytes.repeat(times));
        }
        file
    }
}
