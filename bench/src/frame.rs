//! WebSocket frames (RFC 6455), as far as a client of a node needs them: whole text messages and
//! control frames. Reading costs a few comparisons, so that the clients are never what is measured.

use anyhow::{Result, bail, ensure};
use byline_core::limits::FRAME_BYTES_MAX;

/// Masking guards proxies, and there is none on loopback; but a mask of zeros would let a node get
/// away without the work.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    Text = 1,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

/// One frame from a server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) opcode: Opcode,
    pub(crate) payload: &'a [u8],
    /// How many bytes the frame has with its header.
    pub(crate) bytes: usize,
}

/// The first frame in `bytes`; `None` while it is not whole.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Frame<'_>>> {
    let [first, second, rest @ ..] = bytes else {
        return Ok(None);
    };
    ensure!(
        first & 0x70 == 0 && first & FINAL != 0 && second & MASKED == 0,
        "a server's frame is whole, plain and unmasked here: got {first:#04x} {second:#04x}"
    );
    let opcode = match first & 0x0f {
        1 => Opcode::Text,
        8 => Opcode::Close,
        9 => Opcode::Ping,
        10 => Opcode::Pong,
        other => bail!("a node sends no frames of opcode {other}"),
    };
    let (length, header) = match (second, rest) {
        (126, [a, b, ..]) => (usize::from(u16::from_be_bytes([*a, *b])), 4),
        (127, [a, b, c, d, e, f, g, h, ..]) => {
            let length = u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
            (usize::try_from(length)?, 10)
        }
        (126 | 127, _) => return Ok(None),
        (short, _) => (usize::from(*short), 2),
    };
    ensure!(
        length <= FRAME_BYTES_MAX,
        "a frame of {length} bytes is too long"
    );
    let bytes_of_frame = header + length;
    Ok(bytes.get(header..bytes_of_frame).map(|payload| Frame {
        opcode,
        payload,
        bytes: bytes_of_frame,
    }))
}

/// A frame as a server sends it.
pub(crate) fn plain(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(opcode, payload.len(), 0);
    frame.extend_from_slice(payload);
    frame
}

/// A frame as a client sends it.
pub(crate) fn masked(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(opcode, payload.len(), MASKED);
    frame.extend_from_slice(&MASK);
    let mask = MASK.iter().cycle();
    frame.extend(payload.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
    frame
}

fn header(opcode: Opcode, length: usize, mask: u8) -> Vec<u8> {
    let mut header = vec![FINAL | opcode as u8];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short < 126 => header.push(mask | short),
        (_, Ok(middle)) => {
            header.push(mask | 126);
            header.extend(middle.to_be_bytes());
        }
        _ => {
            header.push(mask | 127);
            header.extend((length as u64).to_be_bytes());
        }
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_of_any_length_is_read_as_it_was_written_and_not_before_it_is_whole() {
        for length in [0, 1, 125, 126, 300, 65_535, 65_536, 100_000] {
            let payload = vec![b'x'; length];
            let mut stream = plain(Opcode::Text, &payload);
            let whole = stream.len();
            for cut in [0, 1, 2, 3, 9, whole - 1].map(|cut| cut.min(whole - 1)) {
                assert_eq!(
                    parse(&stream[..cut]).unwrap(),
                    None,
                    "{cut} of {whole} bytes"
                );
            }
            stream.extend(plain(Opcode::Ping, b"next"));
            let frame = parse(&stream).unwrap().unwrap();
            assert_eq!((frame.opcode, frame.bytes), (Opcode::Text, whole));
            assert_eq!(frame.payload, payload);
            let next = parse(&stream[whole..]).unwrap().unwrap();
            assert_eq!((next.opcode, next.payload), (Opcode::Ping, &b"next"[..]));
        }
    }

    #[test]
    fn what_a_server_must_not_send_is_an_error() {
        assert!(parse(&masked(Opcode::Text, b"{}")).is_err(), "masked");
        assert!(parse(&[0xc1, 0]).is_err(), "compressed");
        assert!(parse(&[0x01, 0]).is_err(), "the first part of a message");
        assert!(parse(&[0x82, 0]).is_err(), "binary");
        assert!(
            parse(&[0x81, 127, 255, 0, 0, 0, 0, 0, 0, 0]).is_err(),
            "longer than allowed"
        );
    }

    #[test]
    fn a_client_masks_what_it_sends() {
        let frame = masked(Opcode::Text, b"hello");
        assert_eq!(frame[..2], [0x81, 0x85]);
        let unmasked: Vec<u8> = frame[6..]
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, mask)| byte ^ mask)
            .collect();
        assert_eq!(unmasked, b"hello");
    }
}
