//! What a node sends: the answer to an upgrade, then frames of RFC 6455, which it does not mask.

use std::io::{self, BufRead as _, BufReader, Read as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Random, Way};

/// The first byte of a text frame that is a whole message.
const WHOLE_TEXT: u8 = 0x81;

/// What becomes of a commit.
enum Fate {
    Sent,
    Twice,
    Lost,
    Late,
}

/// Forwards what comes from `node` until an end of it, doing to one in so many `commits` what is done
/// to commits.
pub(crate) fn forward(
    node: &TcpStream,
    way: &mut Way<'_>,
    commits: Option<u64>,
    mut random: Random,
) -> io::Result<()> {
    let mut node = BufReader::new(node);
    let mut line = Vec::new();
    while line != b"\r\n" {
        line.clear();
        if node.read_until(b'\n', &mut line)? == 0 || !way.send(&line) {
            return Ok(());
        }
    }
    let counts = &way.shared.counts;
    let count = |counter: &AtomicU64| _ = counter.fetch_add(1, Ordering::Relaxed);
    let mut late: Option<Vec<u8>> = None;
    loop {
        let frame = read(&mut node)?;
        let is_commit = is_commit(&frame);
        let fate = match commits {
            Some(commits) if is_commit && !way.is_calm() => match random.between(0, commits) {
                0 => Fate::Twice,
                1 => Fate::Lost,
                2 if late.is_none() => Fate::Late,
                _ => Fate::Sent,
            },
            _ => Fate::Sent,
        };
        let sent = match fate {
            Fate::Sent => way.send(&frame),
            Fate::Twice => {
                count(&counts.twice);
                way.send(&frame) && way.send(&frame)
            }
            Fate::Lost => {
                count(&counts.lost);
                true
            }
            Fate::Late => {
                count(&counts.late);
                late = Some(frame);
                continue;
            }
        };
        let late_sent = match late.take_if(|_| is_commit) {
            Some(frame) => way.send(&frame),
            None => true,
        };
        if !sent || !late_sent {
            return Ok(());
        }
    }
}

/// One frame, with its header.
fn read(from: &mut BufReader<&TcpStream>) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 2];
    from.read_exact(&mut frame)?;
    let (length, more) = match frame[1] & 0x7f {
        126 => (0, 2),
        127 => (0, 8),
        length => (u64::from(length), 0),
    };
    frame.resize(2 + more, 0);
    from.read_exact(&mut frame[2..])?;
    let length = frame[2..]
        .iter()
        .fold(length, |length, byte| length << 8 | u64::from(*byte));
    from.take(length).read_to_end(&mut frame)?;
    Ok(frame)
}

/// Commits say `version` where heads say `position`.
fn is_commit(frame: &[u8]) -> bool {
    let has = |text: &str| {
        frame
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    frame.first() == Some(&WHOLE_TEXT)
        && has("\"type\":\"update\"")
        && has("/changes\"")
        && has("\"version\":")
}
