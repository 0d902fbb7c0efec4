//! Whom a room is told to, and who is heard: people at a screen, or programs by lines.

use std::io::{self, IsTerminal as _};

use byline::Address;

use super::screen::Screen;
use super::told::Told;
use crate::lines::Lines;
use crate::output::line;

/// What was heard.
pub(crate) enum Heard {
    /// A message or a command.
    Line(String),
    /// Somebody has begun to write.
    Typing,
    /// Nothing more comes.
    End,
}

/// Who is at this side of the room.
pub(crate) enum Face {
    Lines(Lines),
    Screen(Box<Screen>),
}

impl Face {
    /// The screen, where there is one and programs are not asked for.
    pub(crate) fn open(json: bool, url: &Address) -> anyhow::Result<Self> {
        if !json && io::stdin().is_terminal() && io::stdout().is_terminal() {
            return Ok(Self::Screen(Box::new(Screen::open(url)?)));
        }
        Ok(Self::Lines(Lines::open("-")?))
    }

    pub(crate) const fn is_screen(&self) -> bool {
        matches!(self, Self::Screen(_))
    }

    /// What is heard next. Nothing is lost when it is not waited for to the end.
    pub(crate) async fn heard(&mut self) -> anyhow::Result<Heard> {
        match self {
            Self::Screen(screen) => Ok(screen.heard().await?),
            Self::Lines(lines) => Ok(match lines.text().await? {
                Some(text) => Heard::Line(String::from_utf8_lossy(&text).trim().to_owned()),
                None => Heard::End,
            }),
        }
    }

    pub(crate) fn tell(&mut self, told: &Told) -> io::Result<()> {
        match self {
            Self::Screen(screen) => screen.tell(told),
            Self::Lines(_) => line(&serde_json::to_string(told)?),
        }
    }
}
