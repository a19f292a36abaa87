//! A WebSocket for load: many frames in one write, no copy and no allocation for a frame that is read.
//!
//! Text frames only, whole ones. The masking key is zero, which leaves the payload as it is: the key protects proxies from
//! pages, and here are neither. A server has the same work with any key.

use std::{net::SocketAddr, ops::Range};

use anyhow::{Context as _, bail, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
const MASKING_KEY: [u8; 4] = [0; 4];
/// Small, because there may be 10,000; a connection that fills it gets more.
const FIRST_BUFFER: usize = 1024;
const LARGEST_BUFFER: usize = 4 << 20;

/// Appends `text` as a frame.
pub(crate) fn encode(text: &str, frames: &mut Vec<u8>) {
    frames.push(FINAL | TEXT);
    let length = text.len();
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short < 126 => frames.push(MASKED | short),
        (_, Ok(medium)) => {
            frames.push(MASKED | 126);
            frames.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            frames.push(MASKED | 127);
            frames.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frames.extend_from_slice(&MASKING_KEY);
    frames.extend_from_slice(text.as_bytes());
}

/// A TCP stream that sends at once.
pub(crate) async fn tcp(node: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(node).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Opens a WebSocket. `separator` parts the packets of a frame, where a server puts several into one.
pub(crate) async fn open(
    node: SocketAddr,
    path: &str,
    separator: Option<u8>,
) -> anyhow::Result<(Reader, Writer)> {
    let (stream, sink) = tcp(node).await?.into_split();
    let mut reader = Reader {
        stream,
        bytes: Bytes::new(separator),
    };
    let mut writer = Writer(sink);
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {node}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    writer.write(request.as_bytes()).await?;
    loop {
        reader.read().await?;
        if let Some(head) = reader.bytes.take_head() {
            ensure!(head.starts_with("HTTP/1.1 101"), "no WebSocket: {head}");
            return Ok((reader, writer));
        }
    }
}

/// The writing half.
#[derive(Debug)]
pub(crate) struct Writer(OwnedWriteHalf);

impl Writer {
    /// Sends one packet.
    pub(crate) async fn send(&mut self, packet: &str) -> anyhow::Result<()> {
        let mut frame = Vec::with_capacity(packet.len() + 14);
        encode(packet, &mut frame);
        self.write(&frame).await
    }

    /// Sends what [`encode`] made.
    pub(crate) async fn write(&mut self, frames: &[u8]) -> anyhow::Result<()> {
        Ok(self.0.write_all(frames).await?)
    }
}

/// The reading half.
#[derive(Debug)]
pub(crate) struct Reader {
    stream: OwnedReadHalf,
    bytes: Bytes,
}

impl Reader {
    /// The next packet of what has been read; none where [`Reader::read`] must come first.
    pub(crate) fn pop(&mut self) -> anyhow::Result<Option<&[u8]>> {
        self.bytes.pop()
    }

    /// Waits for more.
    pub(crate) async fn read(&mut self) -> anyhow::Result<()> {
        let read = self.stream.read(self.bytes.space()?).await?;
        ensure!(read > 0, "the server closed the connection");
        self.bytes.filled(read);
        Ok(())
    }
}

/// What was read and not yet taken.
#[derive(Debug)]
struct Bytes {
    separator: Option<u8>,
    buffer: Vec<u8>,
    /// Of the buffer: not yet taken.
    unread: Range<usize>,
    /// Of the buffer: what is left of a frame with several packets. Empty whenever more is read.
    frame: Range<usize>,
}

impl Bytes {
    fn new(separator: Option<u8>) -> Self {
        Self {
            separator,
            buffer: vec![0; FIRST_BUFFER],
            unread: 0..0,
            frame: 0..0,
        }
    }

    /// Where more can be put.
    fn space(&mut self) -> anyhow::Result<&mut [u8]> {
        self.buffer.copy_within(self.unread.clone(), 0);
        self.unread = 0..self.unread.len();
        let size = self.buffer.len();
        if self.unread.end == size {
            ensure!(size < LARGEST_BUFFER, "a frame of more than {size} bytes");
            self.buffer.resize(size * 4, 0);
        }
        self.buffer
            .get_mut(self.unread.end..)
            .context("the buffer is full")
    }

    const fn filled(&mut self, count: usize) {
        self.unread.end += count;
    }

    /// The head of an HTTP answer, once it is whole.
    fn take_head(&mut self) -> Option<String> {
        let unread = self.buffer.get(self.unread.clone())?;
        let end = unread.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
        let head = unread.get(..end)?;
        let head = String::from_utf8_lossy(head).into_owned();
        self.unread.start += end;
        Some(head)
    }

    fn pop(&mut self) -> anyhow::Result<Option<&[u8]>> {
        while self.frame.is_empty() {
            let Some((opcode, payload)) = self.next_frame()? else {
                return Ok(None);
            };
            match opcode {
                TEXT => self.frame = payload,
                CLOSE => {
                    let reason = self.buffer.get(payload).unwrap_or_default();
                    let (code, text) = reason.split_at(reason.len().min(2));
                    bail!("closed by the server: {code:?} {}", String::from_utf8_lossy(text));
                }
                _ => {}
            }
        }
        let rest = self.buffer.get(self.frame.clone()).unwrap_or_default();
        let cut = self
            .separator
            .and_then(|separator| rest.iter().position(|byte| *byte == separator));
        let (packet, taken) = match cut {
            Some(at) => (rest.get(..at), at + 1),
            None => (Some(rest), rest.len()),
        };
        self.frame.start += taken;
        Ok(packet)
    }

    /// Opcode and payload of the next whole frame.
    fn next_frame(&mut self) -> anyhow::Result<Option<(u8, Range<usize>)>> {
        let unread = self.buffer.get(self.unread.clone()).unwrap_or_default();
        let Some(([first, second], rest)) = unread.split_first_chunk() else {
            return Ok(None);
        };
        ensure!(first & FINAL != 0, "a frame in parts");
        ensure!(second & MASKED == 0, "a masked frame");
        let (head, length) = match second {
            126 => match rest.first_chunk() {
                Some(length) => (4, usize::from(u16::from_be_bytes(*length))),
                None => return Ok(None),
            },
            127 => match rest.first_chunk() {
                Some(length) => (10, usize::try_from(u64::from_be_bytes(*length))?),
                None => return Ok(None),
            },
            short => (2, usize::from(*short)),
        };
        let opcode = first & 0xf;
        if unread.len() - head < length {
            return Ok(None);
        }
        let start = self.unread.start + head;
        self.unread.start = start + length;
        Ok(Some((opcode, start..start + length)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(bytes: &mut Bytes, mut input: &[u8]) {
        while !input.is_empty() {
            let space = bytes.space().unwrap();
            let (now, later) = input.split_at(input.len().min(space.len()));
            space[..now.len()].copy_from_slice(now);
            bytes.filled(now.len());
            input = later;
        }
    }

    fn server_frame(text: &str) -> Vec<u8> {
        let mut frame = Vec::new();
        encode(text, &mut frame);
        // As servers send: without the mask.
        let head = frame.len() - text.len() - MASKING_KEY.len();
        frame.drain(head..head + MASKING_KEY.len());
        frame[1] &= !MASKED;
        frame
    }

    #[test]
    fn frames_of_every_length_arrive_whole_however_they_are_cut() {
        for length in [1, 125, 126, 65_535, 65_536] {
            let text = "x".repeat(length);
            let frame = server_frame(&text);
            for cut in [1, 2, frame.len() - 1] {
                let mut bytes = Bytes::new(None);
                fill(&mut bytes, &frame[..cut]);
                assert!(bytes.pop().unwrap().is_none(), "{length} cut at {cut}");
                fill(&mut bytes, &frame[cut..]);
                assert_eq!(bytes.pop().unwrap().unwrap(), text.as_bytes());
                assert!(bytes.pop().unwrap().is_none());
            }
        }
    }

    #[test]
    fn several_frames_and_several_packets_of_a_frame_come_one_by_one() {
        let mut bytes = Bytes::new(Some(b'\n'));
        fill(&mut bytes, &[server_frame("a\nb\n"), server_frame("c")].concat());

        let mut packets = Vec::new();
        while let Some(packet) = bytes.pop().unwrap() {
            packets.push(String::from_utf8(packet.to_vec()).unwrap());
        }

        assert_eq!(packets, ["a", "b", "c"]);
    }

    #[test]
    fn a_frame_from_here_is_masked_with_zero() {
        let mut frame = Vec::new();
        encode("hi", &mut frame);
        assert_eq!(frame, [0x81, 0x82, 0, 0, 0, 0, b'h', b'i']);
    }

    #[test]
    fn the_servers_close_is_an_error_that_says_why() {
        let mut bytes = Bytes::new(None);
        fill(&mut bytes, b"\x88\x05\x03\xf1bye");
        assert!(bytes.pop().unwrap_err().to_string().contains("bye"));
    }
}
