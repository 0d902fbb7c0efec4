//! Who a user is, and the way of their key to another device.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use byline_core::storage::{Batch, Table};
use byline_store::{Folder, Store as _, Whose};

use crate::common::terminal::Terminal;
use crate::common::{Home, Program};

/// 32 times 7, and who that is.
const SECRET: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc";
const IDENTITY: &str = "user-guid://6kpsY-KcUgq-9VB7Ey7F-ZVHdq6-vnuSQh7qaRRG0iw";

/// Runs `byline identity …` and gives what it prints.
fn identity(arguments: &[&str]) -> String {
    let ended = Program::start(&[&["identity"], arguments].concat()).ended();
    ended.assert_success();
    ended.output.join("\n")
}

/// Runs `byline identity …` and gives what it complains of.
fn complaint(arguments: &[&str]) -> String {
    let ended = Program::start(&[&["identity"], arguments].concat()).ended();
    assert!(ended.output.is_empty(), "{ended:#?}");
    ended.complaint().to_owned()
}

#[test]
fn an_identity_goes_to_another_device_by_its_passphrase() {
    let home = Home::new("identity");
    let key = home.file("key", format!("{SECRET}\n"), 0o600);
    assert_eq!(identity(&["show", "--key", &key]), IDENTITY);

    let words = home.file("words", "correct horse\n", 0o600);
    let by = ["--passphrase-file", &words];
    let exported = identity(&[&["export", "--key", &key], &by[..]].concat());
    assert!(exported.contains(IDENTITY) && !exported.contains(SECRET));
    let exported = home.file("exported", exported, 0o644);

    let other = home.key("deep/other");
    let import = [&["import", &exported, "--key", &other], &by[..]].concat();
    assert_eq!(identity(&import), IDENTITY);
    assert_eq!(fs::read(&other).unwrap(), fs::read(&key).unwrap());
    assert_eq!(
        fs::metadata(&other).unwrap().permissions().mode() & 0o777,
        0o600
    );

    let mine = home.file("mine", "not to be lost", 0o600);
    let over = complaint(&[&["import", &exported, "--key", &mine], &by[..]].concat());
    assert!(over.contains(&mine) && over.contains("already"), "{over}");
    assert_eq!(fs::read(&mine).unwrap(), b"not to be lost");
}

#[test]
fn what_cannot_be_imported_is_told_in_a_line_and_makes_no_key() {
    let home = Home::new("no-identity");
    let key = home.file("key", SECRET, 0o600);
    let words = home.file("words", "correct horse", 0o600);
    let exported = identity(&["export", "--key", &key, "--passphrase-file", &words]);
    let whole = home.file("whole", &exported, 0o600);
    let damaged = home.file("damaged", exported.replace(IDENTITY, "user-guid://"), 0o600);
    let newer = home.file("newer", exported.replace("identity-1", "identity-2"), 0o600);
    let diary = home.file("diary", "Dear diary", 0o600);
    let bytes = home.file("bytes", [0xff, 0xfe], 0o600);
    let nowhere = home.key("nowhere");
    let others = home.file("others", "correct donkey", 0o600);
    let empty = home.file("empty", "\n", 0o600);
    let made = home.key("made");
    for (file, words, wanted) in [
        (&whole, &others, "the passphrase is another one"),
        (&damaged, &words, "damaged"),
        (&newer, &words, "newer"),
        (&diary, &words, "no exported identity"),
        (&key, &words, "no exported identity"),
        (&bytes, &words, "UTF-8"),
        (&nowhere, &words, "No such file"),
        (&whole, &empty, "is empty"),
        (&whole, &nowhere, "passphrase file"),
    ] {
        let call = ["import", file, "--key", &made, "--passphrase-file", words];
        let said = complaint(&call);
        assert!(said.contains(wanted), "`{said}` does not say `{wanted}`");
        assert!(!fs::exists(&made).unwrap(), "{said}");
    }
    let unasked = complaint(&["import", &whole, "--key", &made]);
    assert!(unasked.contains("--passphrase-file"), "{unasked}");
    let absent = complaint(&["show", "--key", &nowhere]);
    assert!(absent.contains("No such file"), "{absent}");
    assert!(!fs::exists(&nowhere).unwrap(), "to look makes no key");
}

#[test]
fn the_key_that_a_runtime_keeps_is_shown_while_it_runs() {
    let home = Home::new("kept");
    let (path, nodes) = (home.path().join("store"), home.path().join("node"));
    let mut store = Folder::open(&path, &Whose::Runtime, None).unwrap();
    let mut batch = Batch::default();
    batch.put(Table::Keys, "identity", [7; 32]);
    batch.put(Table::Positions, "ctxt://localhost/kitchen", [0; 16]);
    store.commit(&batch).unwrap();
    let show = ["show", "--store", path.to_str().unwrap()];
    assert_eq!(identity(&show), IDENTITY);
    drop(store);
    assert_eq!(identity(&show), IDENTITY);

    let domain = "localhost".to_owned();
    drop(Folder::open(&nodes, &Whose::Node { domain }, None).unwrap());
    let node = complaint(&["show", "--store", nodes.to_str().unwrap()]);
    assert!(node.contains("belongs to the node of localhost"), "{node}");
    let nothing = complaint(&["show", "--store", home.path().to_str().unwrap()]);
    assert!(nothing.contains("there is no store.redb"), "{nothing}");
}

#[test]
fn a_passphrase_is_asked_for_twice_and_never_shown() {
    let home = Home::new("asked");
    let key = home.file("key", SECRET, 0o600);
    let mut screen = Terminal::start(&["identity", "export", "--key", &key]);
    screen.shows("new passphrase: ");
    screen.types("correct horsf\u{7f}e\r");
    screen.shows("the same again: ");
    screen.types("correct horse\r");
    screen.shows("byline-identity-1");
    assert!(screen.succeeds());
    let shown = screen.text();
    assert!(shown.contains(IDENTITY), "{shown}");
    assert!(!shown.contains("correct"), "{shown}");

    let lines: Vec<_> = shown.lines().collect();
    let from = lines
        .iter()
        .position(|line| line.contains("byline-identity-1"));
    let exported = lines[from.unwrap()..].join("\n");
    let exported = home.file("exported", exported, 0o600);
    let words = home.file("words", "correct horse", 0o600);
    let other = home.key("other");
    let import = ["import", &exported, "--key", &other, "--passphrase-file"];
    assert_eq!(identity(&[&import[..], &[&words]].concat()), IDENTITY);
}

#[test]
fn two_passphrases_that_differ_and_none_at_all_export_nothing() {
    let home = Home::new("differ");
    let key = home.file("key", SECRET, 0o600);
    for (first, second, wanted) in [
        ("correct horse\r", "correct donkey\r", "not the same"),
        ("\r", "", "no passphrase"),
        ("correct\u{3}", "", "stopped"),
    ] {
        let mut screen = Terminal::start(&["identity", "export", "--key", &key]);
        screen.shows("new passphrase: ");
        screen.types(first);
        if !second.is_empty() {
            screen.shows("the same again: ");
            screen.types(second);
        }
        screen.shows(wanted);
        assert!(!screen.succeeds());
        assert!(!screen.text().contains("byline-identity-1"));
    }
}
