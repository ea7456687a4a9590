//! A connected Unix stream socket that is woken for what comes and, only when the other side is
//! too slow, for room to write. A socket that is always watched for room is woken each time the
//! peer has read something, which between agents is once a letter. Not a listener. `stream` holds
//! it, `listen` and `connect` make it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::UnixStream;

use crate::stream::Peer;

/// The socket, registered with the runtime it was made in.
#[derive(Debug)]
pub struct Unix {
    socket: AsyncFd<StdStream>,
    /// Of the same socket, while output waits for room.
    room: Option<AsyncFd<OwnedFd>>,
    peer: Peer,
}

impl Unix {
    /// Takes a socket over from the runtime's own kind.
    ///
    /// # Errors
    /// When the connection is gone already, or the runtime cannot watch it.
    pub fn new(stream: UnixStream) -> io::Result<Self> {
        let cred = stream.peer_cred()?;
        let peer = Peer::Unix { uid: cred.uid(), pid: cred.pid() };
        let socket = watch(stream.into_std()?, Interest::READABLE)?;
        Ok(Unix { socket, room: None, peer })
    }

    /// Who was at the other end when the connection was made, as the kernel says.
    pub fn peer(&self) -> Peer {
        self.peer.clone()
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let room = match self.room.take() {
            Some(room) => room,
            None => {
                let same = self.socket.get_ref().as_fd().try_clone_to_owned()?;
                watch(same, Interest::WRITABLE)?
            }
        };
        let room = self.room.insert(room);
        // Forgotten at once: if there is none after all, the write that follows says so.
        ready!(room.poll_write_ready(cx))?.clear_ready();
        Poll::Ready(Ok(()))
    }
}

#[expect(deprecated, reason = "what its successor asks for holds: both kinds own their descriptor")]
fn watch<F: AsRawFd + From<OwnedFd>>(owner: F, interest: Interest) -> io::Result<AsyncFd<F>> {
    AsyncFd::with_interest(owner, interest)
}

impl AsyncRead for Unix {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.socket.poll_read_ready(cx))?;
            let space = buf.initialize_unfilled();
            let wanted = space.len();
            match ready.get_inner().read(space) {
                Ok(count) => {
                    // epoll(7): a stream that gave less than it was asked for is empty. An end is
                    // not forgotten.
                    if count > 0 && count < wanted {
                        ready.clear_ready();
                    }
                    buf.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => ready.clear_ready(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Unix {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.socket.get_ref().write(bytes) {
                Ok(count) => {
                    if count == bytes.len() {
                        self.room = None;
                    }
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready!(self.poll_room(cx))?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.get_ref().shutdown(Shutdown::Write))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn pair() -> (Unix, Unix) {
        let (one, other) = UnixStream::pair().unwrap();
        (Unix::new(one).unwrap(), Unix::new(other).unwrap())
    }

    /// More than the kernel buffers, so that both sides have to wait for room.
    fn long() -> Vec<u8> {
        (0..4_000_000_u32).map(|number| (number % 251) as u8).collect()
    }

    #[tokio::test]
    async fn what_is_written_is_read_and_the_end_is_seen() {
        let (mut one, mut other) = pair();
        let text = long();
        let sent = text.clone();
        let writing = async move {
            one.write_all(&sent).await.unwrap();
            one.shutdown().await.unwrap();
            one
        };
        let reading = async move {
            let mut heard = Vec::new();
            other.read_to_end(&mut heard).await.unwrap();
            heard
        };
        let (one, heard) = tokio::join!(writing, reading);
        assert!(heard == text, "{} octets of {}", heard.len(), text.len());
        assert!(one.room.is_none(), "room is watched only while it is wanted");
    }

    #[tokio::test]
    async fn an_end_that_comes_with_the_last_octets_is_seen() {
        let (mut one, mut other) = pair();
        let mut heard = [0; 64];
        // The first read waits, the second finds octets and end together.
        let reading = async {
            let first = other.read(&mut heard).await.unwrap();
            let second = other.read(&mut heard).await.unwrap();
            (first, second)
        };
        let writing = async move {
            tokio::task::yield_now().await;
            one.write_all(b"last").await.unwrap();
            drop(one);
        };
        let (read, ()) = tokio::join!(reading, writing);
        assert_eq!(read, (4, 0));
    }

    #[tokio::test]
    async fn a_peer_that_is_gone_is_an_error() {
        let (mut one, other) = pair();
        drop(other);
        let error = one.write_all(b"x").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn the_kernel_says_who_it_is() {
        let (one, _other) = pair();
        assert!(one.peer().is_ours());
    }
}
