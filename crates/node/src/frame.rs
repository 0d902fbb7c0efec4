//! What the node writes on a WebSocket (RFC 6455 §5.2). A server's frames are not masked, so one
//! encoding serves every reader.

use bytes::Bytes;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};

/// An empty ping.
pub(crate) const PING: Bytes = Bytes::from_static(&[0x89, 0]);

/// `text` as one frame: one allocation, one copy.
pub(crate) fn text(text: &str) -> Bytes {
    let header = FrameHeader {
        opcode: OpCode::Data(Data::Text),
        ..FrameHeader::default()
    };
    let length = text.len() as u64;
    let mut frame = Vec::with_capacity(header.len(length) + text.len());
    written(header.format(length, &mut frame).is_ok());
    frame.extend_from_slice(text.as_bytes());
    frame.into()
}

/// A close frame with `code` and, for people, `reason`.
pub(crate) fn close(code: u16, reason: &'static str) -> Bytes {
    let close = CloseFrame {
        code: code.into(),
        reason: reason.into(),
    };
    let mut frame = Vec::with_capacity(4 + reason.len());
    written(Frame::close(Some(close)).format(&mut frame).is_ok());
    frame.into()
}

fn written(in_memory: bool) {
    debug_assert!(in_memory, "a Vec takes every write");
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocket};

    use super::*;

    fn read(frames: Vec<u8>) -> Message {
        WebSocket::from_raw_socket(Cursor::new(frames), Role::Client, None)
            .read()
            .unwrap()
    }

    #[test]
    fn a_client_reads_what_was_written() {
        for length in [0, 1, 125, 126, 65_535, 65_536, 300_000] {
            let said = "x".repeat(length);
            let frame = text(&said);
            assert_eq!(read(frame.to_vec()), Message::text(said), "{length}");
        }
        let Message::Close(Some(close)) = read(close(4008, "slow").to_vec()) else {
            panic!("no close frame");
        };
        assert_eq!(
            (u16::from(close.code), close.reason.as_str()),
            (4008, "slow")
        );
        assert_eq!(read(PING.to_vec()), Message::Ping(Bytes::new()));
    }
}
