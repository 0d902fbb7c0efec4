//! What somebody writes in a room: a message, or a command that begins with a slash.

use std::fmt;
use std::str::FromStr;

/// Messages that `/history` gives when no number is said.
const HISTORY: usize = 20;
/// Longest name, in characters.
const NAME_CHARS: usize = 32;

/// The commands, as `/help` tells them.
pub(crate) const COMMANDS: [&str; 13] = [
    "/who: who is here",
    "/history [N]: the last N messages, each with its ID",
    "/delete ID: delete a message of yours; the host deletes anybody's",
    "/send PATH: send a file, which others get while you or the host are there",
    "/get ID [PATH]: get a file, into this folder or to a path",
    "/invite WHO: let an identity or a hyperty in, and tell them (host)",
    "/kick WHO [WHY]: put somebody out, for good (host)",
    "/accept WHO: let in who asks (host, --approve)",
    "/reject WHO [WHY]: refuse who asks (host, --approve)",
    "/close: nobody but the host may write (host)",
    "/open: everybody may write again (host)",
    "/help: this list; a message that begins with a slash is written with two",
    "/quit: leave",
];

/// One line of input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Saying {
    Message(String),
    Who,
    History(usize),
    Delete(String),
    Send(String),
    Get(String, String),
    Invite(String),
    Kick(String, String),
    Accept(String),
    Reject(String, String),
    Close,
    Open,
    Help,
    Quit,
}

impl FromStr for Saying {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let line = line.trim();
        let Some(command) = line.strip_prefix('/') else {
            return Ok(Self::Message(line.to_owned()));
        };
        if command.starts_with('/') {
            return Ok(Self::Message(command.to_owned()));
        }
        let (name, rest) = split(command);
        let (first, more) = split(rest);
        let one = |what: &str| match (first, more) {
            ("", _) => Err(format!("/{name} of what? write /{name} {what}")),
            (one, "") => Ok(one.to_owned()),
            _ => Err(format!("/{name} takes one word: /{name} {what}")),
        };
        let who = || match first {
            "" => Err(format!("/{name} whom? write /{name} WHO")),
            who => Ok(who.to_owned()),
        };
        let nothing = |saying| match rest {
            "" => Ok(saying),
            _ => Err(format!("/{name} takes nothing after it")),
        };
        match name {
            "who" => nothing(Self::Who),
            "history" if rest.is_empty() => Ok(Self::History(HISTORY)),
            "history" => match one("N")?.parse() {
                Ok(count) => Ok(Self::History(count)),
                Err(_) => Err(format!("`{first}` is no number: write /history 20")),
            },
            "delete" => one("ID").map(Self::Delete),
            "send" if rest.is_empty() => Err("/send of what? write /send PATH".to_owned()),
            "send" => Ok(Self::Send(rest.to_owned())),
            "get" if first.is_empty() => Err("/get of what? write /get ID [PATH]".to_owned()),
            "get" => Ok(Self::Get(first.to_owned(), more.to_owned())),
            "invite" => one("WHO").map(Self::Invite),
            "kick" => Ok(Self::Kick(who()?, more.to_owned())),
            "accept" => one("WHO").map(Self::Accept),
            "reject" => Ok(Self::Reject(who()?, more.to_owned())),
            "close" => nothing(Self::Close),
            "open" => nothing(Self::Open),
            "help" => nothing(Self::Help),
            "quit" => nothing(Self::Quit),
            _ => Err(format!("there is no command /{name}: /help lists them")),
        }
    }
}

/// The first word, and the rest.
fn split(text: &str) -> (&str, &str) {
    let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (first, rest.trim())
}

/// What somebody is called: one word of at most 32 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name(String);

impl Name {
    /// What another says its name is, as much of it as can be shown.
    pub(crate) fn shown(text: &str) -> Self {
        let whole = |c: &char| !c.is_control() && !c.is_whitespace();
        Self(text.chars().filter(whole).take(NAME_CHARS).collect())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = Self::shown(text);
        if name.0.is_empty() || name.0 != text {
            return Err(format!(
                "a name is one word of at most {NAME_CHARS} characters"
            ));
        }
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_message_or_a_command_with_what_it_takes() {
        let message = |text: &str| Ok(Saying::Message(text.to_owned()));
        for (line, said) in [
            ("  hello  there ", message("hello  there")),
            ("//who is it", message("/who is it")),
            ("/who", Ok(Saying::Who)),
            ("/history", Ok(Saying::History(20))),
            ("/history 3", Ok(Saying::History(3))),
            (
                "/kick bob  too loud ",
                Ok(Saying::Kick("bob".into(), "too loud".into())),
            ),
            ("/kick bob", Ok(Saying::Kick("bob".into(), String::new()))),
            ("/send a cup.png", Ok(Saying::Send("a cup.png".into()))),
            ("/get a#1", Ok(Saying::Get("a#1".into(), String::new()))),
            ("/delete a#1", Ok(Saying::Delete("a#1".into()))),
        ] {
            assert_eq!(line.parse(), said, "{line}");
        }
    }

    #[test]
    fn what_is_no_command_is_told_with_what_would_be_one() {
        for (line, why) in [
            ("/dance", "there is no command /dance: /help lists them"),
            ("/", "there is no command /: /help lists them"),
            ("/history soon", "`soon` is no number: write /history 20"),
            ("/delete", "/delete of what? write /delete ID"),
            ("/delete a b", "/delete takes one word: /delete ID"),
            ("/kick", "/kick whom? write /kick WHO"),
            ("/quit now", "/quit takes nothing after it"),
        ] {
            assert_eq!(line.parse::<Saying>(), Err(why.to_owned()), "{line}");
        }
    }

    #[test]
    fn a_name_is_one_word() {
        assert!("Ann".parse::<Name>().is_ok() && "é😀".parse::<Name>().is_ok());
        for bad in ["", "Ann B", "a\u{1b}b", &"a".repeat(33)] {
            assert!(bad.parse::<Name>().is_err(), "{bad:?}");
        }
        assert_eq!(Name::shown("a b\u{1b}[2J").to_string(), "ab[2J");
    }
}
