//! A room on a terminal: what is typed there is said, and what is said is on the screen.

use crate::common::terminal::Terminal;
use crate::common::{Home, Node, byline};

const ROOM: &str = "comm://localhost/tea";

#[test]
fn a_terminal_shows_what_is_said_and_says_what_is_typed() {
    let home = Home::new("screen");
    let node = Node::start();
    let key = home.key("ann");
    let host = ["chat", ROOM, "--host", "--public", "--name", "ann"];
    let mut screen = Terminal::start(&[&host[..], &["--node", &node.url, "--key", &key]].concat());
    screen.shows("1 here");

    let mut bob = byline(&home, &node.url, "bob", &["chat", ROOM], &["--name", "bob"]);
    bob.event_named("room");
    screen.shows("2 here");
    bob.write("is it teatime?");
    screen.shows("bob#1 is it teatime?");

    screen.types("biscuits?");
    assert_eq!(bob.event_named("typing")["name"], "ann");
    screen.types("\r");
    let said = bob.event_where(|event| event["text"] == "biscuits?");
    assert_eq!(said["name"], "ann");
    screen.shows("ann#1 biscuits?");

    screen.types("/dance\r");
    screen.shows("/dance: there is no command /dance");
    // Control-C leaves, and gives the terminal back: the other screen is there again.
    screen.types("\u{3}");
    screen.until(|screen| screen.commands.iter().any(|one| one == "[?1049l"));
    assert!(screen.succeeds());
}
