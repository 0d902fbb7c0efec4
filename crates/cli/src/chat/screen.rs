//! A room on the whole screen: what is said, who is here, and a line to write in.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use byline::Address;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize as _};
use ratatui::text::{Line, Span};
use ratatui::{DefaultTerminal, Frame};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::face::Heard;
use super::room::now;
use super::saying::COMMANDS;
use super::timeline::{Timeline, visible};
use super::told::{Person, Told, short, short_id};

/// How often the screen is painted at most.
const FRAME: Duration = Duration::from_millis(30);
/// How long somebody who has typed is said to be typing, and how often that is told others.
const TYPING: Duration = Duration::from_secs(5);
const TYPING_TOLD: Duration = Duration::from_secs(3);
/// Columns of the list of people, and those below which it is not there.
const PEOPLE_COLUMNS: u16 = 20;
const WIDE: u16 = 60;
/// Keys read ahead.
const KEYS: usize = 64;

/// A terminal that shows a room. It is given back as it was when this is dropped.
pub(crate) struct Screen {
    terminal: DefaultTerminal,
    keys: mpsc::Receiver<io::Result<Event>>,
    page: Page,
    /// When it was painted last, and whether it is not up to date.
    painted: Instant,
    dirty: bool,
    /// When others were told last that somebody types here.
    typed: Option<Instant>,
}

/// What the screen shows.
struct Page {
    url: String,
    timeline: Timeline,
    people: BTreeMap<String, Person>,
    typing: BTreeMap<String, (String, Instant)>,
    state: String,
    connection: &'static str,
    closed: bool,
    input: String,
    /// Rows between the last message and the end of the screen.
    scroll: usize,
    height: usize,
}

impl Screen {
    /// Takes the terminal over.
    pub(crate) fn open(url: &Address) -> io::Result<Self> {
        let terminal = ratatui::try_init()?;
        let (sender, keys) = mpsc::channel(KEYS);
        // On a thread of its own, as lines are: it ends with the process.
        std::thread::spawn(move || while sender.blocking_send(event::read()).is_ok() {});
        Ok(Self {
            terminal,
            keys,
            page: Page {
                url: url.to_string(),
                timeline: Timeline::default(),
                people: BTreeMap::new(),
                typing: BTreeMap::new(),
                state: String::new(),
                connection: "connecting",
                closed: false,
                input: String::new(),
                scroll: 0,
                height: 1,
            },
            painted: Instant::now() - FRAME,
            dirty: true,
            typed: None,
        })
    }

    /// Shows what there is, until something is heard.
    pub(crate) async fn heard(&mut self) -> io::Result<Heard> {
        loop {
            let fades = self.page.typing.values().map(|(_, at)| *at + TYPING).min();
            let due = if self.dirty {
                Some(self.painted + FRAME)
            } else {
                fades
            };
            let due = async {
                match due {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                key = self.keys.recv() => {
                    let Some(key) = key.transpose()? else { return Ok(Heard::End) };
                    self.dirty = true;
                    if let Some(heard) = self.key(key) {
                        return Ok(heard);
                    }
                }
                () = due => self.paint()?,
            }
        }
    }

    pub(crate) fn tell(&mut self, told: &Told) -> io::Result<()> {
        self.dirty = true;
        self.page.take(told);
        Ok(())
    }

    fn paint(&mut self) -> io::Result<()> {
        let now = Instant::now();
        self.page.typing.retain(|_, (_, at)| now < *at + TYPING);
        self.terminal.draw(|frame| self.page.draw(frame))?;
        (self.painted, self.dirty) = (now, false);
        Ok(())
    }

    fn key(&mut self, event: Event) -> Option<Heard> {
        let Event::Key(KeyEvent {
            code,
            modifiers,
            kind,
            ..
        }) = event
        else {
            return None;
        };
        if kind == KeyEventKind::Release {
            return None;
        }
        let page = &mut self.page;
        let control = modifiers.contains(KeyModifiers::CONTROL);
        match code {
            KeyCode::Char('c' | 'd') if control => return Some(Heard::End),
            KeyCode::Char('u') if control => page.input.clear(),
            KeyCode::Char(c) if !control => {
                page.input.push(c);
                let now = Instant::now();
                let told = self.typed.is_some_and(|at| now < at + TYPING_TOLD);
                if !told && !page.input.starts_with('/') {
                    self.typed = Some(now);
                    return Some(Heard::Typing);
                }
            }
            KeyCode::Backspace => drop(page.input.pop()),
            KeyCode::PageUp => page.scroll += page.height,
            KeyCode::PageDown => page.scroll = page.scroll.saturating_sub(page.height),
            KeyCode::Enter if !page.input.trim().is_empty() => {
                (page.scroll, self.typed) = (0, None);
                return Some(Heard::Line(std::mem::take(&mut page.input)));
            }
            _ => {}
        }
        None
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

impl Page {
    fn take(&mut self, told: &Told) {
        match told {
            Told::Anew {} => self.timeline.forget(),
            Told::Message(message) => {
                let author = message.id.rsplit_once('#').map_or("", |(author, _)| author);
                self.typing.remove(author);
                self.timeline.put(message);
            }
            Told::Sending { id, text } => self.timeline.sending(id, text),
            Told::Refused { id, text, why } => {
                self.timeline.refused(id.as_deref());
                self.note(&format!("not sent: {text} ({why})"));
            }
            Told::File(sent) => {
                let author = sent.id.rsplit_once('#').map_or("", |(author, _)| author);
                let person = self.people.get(author).and_then(|one| one.name.as_deref());
                let who = person.unwrap_or_else(|| short(author));
                let (name, size, id) = (&sent.name, sent.size, short_id(&sent.id));
                let text = format!("{who} sends {name} ({size} bytes): /get {id}");
                self.timeline.note(sent.created.clone(), &text);
            }
            Told::Removed { id, .. } => self.timeline.remove(id),
            Told::People { people } => self.people.clone_from(people),
            Told::Typing { hyperty, name } => {
                let typing = (name.clone(), Instant::now());
                self.typing.insert(hyperty.clone(), typing);
            }
            Told::State { state, desc } => {
                self.state.clone_from(state);
                desc.iter().for_each(|desc| self.note(desc));
            }
            Told::Connection { state } => self.connection = state,
            Told::Messages { closed } => self.closed = *closed,
            Told::Room { hyperty, host, .. } => {
                let role = if *host { "you are the host; " } else { "" };
                self.note(&format!(
                    "{role}you are {}; /help lists commands",
                    short(hyperty)
                ));
            }
            Told::Asking { hyperty, identity } => {
                let who = short(hyperty);
                let identity = if identity.is_empty() {
                    "somebody unknown"
                } else {
                    identity
                };
                self.note(&format!(
                    "{identity} asks to come in: /accept {who} or /reject {who}"
                ));
            }
            Told::History { messages } => {
                for message in messages {
                    let id = short_id(&message.id);
                    self.note(&format!("{id} {}: {}", message.name, message.text));
                }
            }
            Told::Done { command } => self.note(&format!("{command}: done")),
            Told::Error { command, why } => self.note(&format!("{command}: {why}")),
            Told::Help { .. } => COMMANDS.iter().for_each(|one| self.note(one)),
        }
    }

    fn note(&mut self, text: &str) {
        self.timeline.note(now(), text);
    }

    fn draw(&mut self, frame: &mut Frame<'_>) {
        let rows = [
            Constraint::Min(1),
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length(1),
        ];
        let [body, typing, status, input] = Layout::vertical(rows).areas(frame.area());
        let people = if body.width < WIDE { 0 } else { PEOPLE_COLUMNS };
        let columns = [Constraint::Min(1), Constraint::Length(people)];
        let [messages, people] = Layout::horizontal(columns).areas(body);
        self.height = usize::from(messages.height);
        let width = usize::from(messages.width.saturating_sub(1));
        let lines = self.timeline.rows(width, self.height, &mut self.scroll);
        // The newest stand at the bottom.
        let used = u16::try_from(lines.len())
            .unwrap_or(messages.height)
            .min(messages.height);
        let below = Rect {
            y: messages.bottom() - used,
            height: used,
            ..messages
        };
        frame.render_widget(ratatui::text::Text::from(lines), below);
        frame.render_widget(ratatui::text::Text::from(self.people_lines()), people);
        frame.render_widget(
            Line::from(self.typing_line()).italic().fg(Color::DarkGray),
            typing,
        );
        frame.render_widget(Line::from(self.status_line()).reversed(), status);
        let written = format!("> {}", self.input);
        let line = Line::from(written.as_str());
        let over = line
            .width()
            .saturating_sub(usize::from(input.width.saturating_sub(1)));
        let over = u16::try_from(over).unwrap_or(u16::MAX);
        let column = u16::try_from(line.width())
            .unwrap_or(u16::MAX)
            .saturating_sub(over);
        frame.render_widget(
            ratatui::widgets::Paragraph::new(line).scroll((0, over)),
            input,
        );
        frame.set_cursor_position((input.x + column, input.y));
    }

    fn people_lines(&self) -> Vec<Line<'_>> {
        let title = Line::from(format!("{} here", self.people.len())).bold();
        let named = self.people.iter().map(|(hyperty, person)| {
            let name = person.name.as_deref().unwrap_or_else(|| short(hyperty));
            let style = Style::new().fg(Color::DarkGray);
            Line::from(vec![
                Span::raw(name),
                Span::styled(format!(" {}", short(hyperty)), style),
            ])
        });
        std::iter::once(title).chain(named).collect()
    }

    fn typing_line(&self) -> String {
        let names: Vec<&str> = self
            .typing
            .values()
            .map(|(name, _)| name.as_str())
            .collect();
        match names[..] {
            [] => String::new(),
            [one] => format!("{one} is typing"),
            _ => format!("{} are typing", names.join(", ")),
        }
    }

    fn status_line(&self) -> String {
        let mut line = format!(" {}: {}", visible(&self.url), self.state);
        if self.connection != "live" {
            line.push_str(&format!(" · node: {}", self.connection));
        }
        if self.closed {
            line.push_str(" · only the host writes");
        }
        if self.scroll > 0 {
            line.push_str(" · PgDn for the newest");
        }
        line.push_str(" · times are UTC");
        line
    }
}
