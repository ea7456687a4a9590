//! A stream whose octets are compressed both ways (RFC 4978 COMPRESS=DEFLATE, over RFC 1951). Not a
//! file format: there is no header and no end. Begun by [`Driver::compress`](crate::Driver) below
//! a session that goes on.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::limits::{DEFLATE_CHUNK, DEFLATE_WAITING};
use crate::stream::Stream;

/// Compression over another stream.
pub struct Deflated {
    inner: Stream,
    /// Compressed octets that came and are not used yet.
    coming: BytesMut,
    decoder: Decompress,
    encoder: Compress,
    /// Compressed octets that wait to be sent.
    going: BytesMut,
    /// The encoder holds octets back that the other side waits for.
    holds: bool,
}

impl Deflated {
    /// Nothing may have been read or written ahead.
    pub(crate) fn new(inner: Stream) -> Self {
        Deflated {
            inner,
            coming: BytesMut::new(),
            decoder: Decompress::new(false),
            encoder: Compress::new(Compression::fast(), false),
            going: BytesMut::new(),
            holds: false,
        }
    }

    /// The stream below.
    pub(crate) fn inner(&self) -> &Stream {
        &self.inner
    }

    /// What fits of the octets at hand, decompressed. How many came out.
    fn inflate(&mut self, buf: &mut ReadBuf<'_>) -> io::Result<usize> {
        loop {
            let (taken, given) = (self.decoder.total_in(), self.decoder.total_out());
            let room = buf.initialize_unfilled();
            let status = self
                .decoder
                .decompress(&self.coming, room, FlushDecompress::None)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            // Neither is more than a buffer holds.
            let taken = usize::try_from(self.decoder.total_in() - taken).unwrap_or(usize::MAX);
            let given = usize::try_from(self.decoder.total_out() - given).unwrap_or(usize::MAX);
            self.coming.advance(taken.min(self.coming.len()));
            buf.advance(given);
            if status == Status::StreamEnd {
                // RFC 4978 knows no end but that of the connection.
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the deflate stream ended"));
            }
            if given > 0 || taken == 0 {
                return Ok(given);
            }
        }
    }

    /// Compresses; how many octets were taken.
    fn deflate(&mut self, octets: &[u8], flush: FlushCompress) -> io::Result<(usize, usize)> {
        let (taken, given) = (self.encoder.total_in(), self.encoder.total_out());
        let before = self.going.len();
        self.going.resize(before + DEFLATE_CHUNK, 0);
        let room = self.going.get_mut(before..).unwrap_or_default();
        let outcome = self.encoder.compress(octets, room, flush);
        let given = usize::try_from(self.encoder.total_out() - given).unwrap_or(usize::MAX);
        self.going.truncate(before.saturating_add(given));
        outcome.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let taken = usize::try_from(self.encoder.total_in() - taken).unwrap_or(usize::MAX);
        Ok((taken, given))
    }

    /// Sends what waits, until at most so many octets do.
    fn poll_send(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<io::Result<()>> {
        while self.going.len() > most {
            match ready!(Pin::new(&mut self.inner).poll_write(cx, &self.going))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.going.advance(count),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for Deflated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflated").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl AsyncRead for Deflated {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            // Also without new octets: the decoder may hold some that did not fit last time.
            if this.inflate(buf)? > 0 {
                return Poll::Ready(Ok(()));
            }
            let mut scratch = [0; DEFLATE_CHUNK];
            let mut chunk = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut chunk))?;
            if chunk.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.coming.extend_from_slice(chunk.filled());
        }
    }
}

impl AsyncWrite for Deflated {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        loop {
            ready!(this.poll_send(cx, DEFLATE_WAITING))?;
            let (taken, _) = this.deflate(octets, FlushCompress::None)?;
            this.holds = true;
            // None is taken while what was taken before fills the room.
            if taken > 0 || octets.is_empty() {
                return Poll::Ready(Ok(taken));
            }
        }
    }

    /// RFC 4978 §3: the other side must be able to decode all that was said so far.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.holds {
            ready!(this.poll_send(cx, DEFLATE_WAITING))?;
            let (_, given) = this.deflate(&[], FlushCompress::Sync)?;
            // It is all out when there was room to spare.
            this.holds = given == DEFLATE_CHUNK;
        }
        ready!(this.poll_send(cx, 0))?;
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut *this).poll_flush(cx))?;
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn pair() -> (Deflated, Deflated) {
        let (one, other) = Stream::pair(1000);
        (Deflated::new(one), Deflated::new(other))
    }

    #[tokio::test]
    async fn a_flushed_line_arrives_whole() {
        let (mut one, mut other) = pair();
        for line in ["* OK still here\r\n", "* 1 EXISTS\r\n", "\r\n"] {
            one.write_all(line.as_bytes()).await.expect("written");
            one.flush().await.expect("flushed");
            let mut read = vec![0; line.len()];
            other.read_exact(&mut read).await.expect("read");
            assert_eq!(read, line.as_bytes());
        }
    }

    #[tokio::test]
    async fn much_goes_through_a_narrow_pipe() {
        let (mut one, mut other) = pair();
        let text: Vec<u8> =
            (0..300_000u32).flat_map(|n| (n.wrapping_mul(n) / 7).to_le_bytes()).collect();
        let wanted = text.clone();
        let writer = tokio::spawn(async move {
            one.write_all(&text).await.expect("written");
            one.shutdown().await.expect("closed");
        });
        let mut read = Vec::new();
        other.read_to_end(&mut read).await.expect("read");
        writer.await.expect("the writer");
        assert!(read == wanted, "{} of {} octets", read.len(), wanted.len());
    }

    #[tokio::test]
    async fn garbage_is_an_error() {
        let (mut one, other) = Stream::pair(1000);
        one.write_all(&[0xff; 100]).await.expect("written");
        let mut read = Vec::new();
        let error = Deflated::new(other).read_to_end(&mut read).await.expect_err("no deflate");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
