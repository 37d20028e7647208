//! Connections: how many there are, and how long one may stall.

use axum_server::accept::Accept;
use std::future::{Future, Ready, ready};
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready as some};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

/// How many connections are open at a time; one more is closed as soon as it comes. A process is commonly allowed 1,024 open files,
/// and every run that is driven needs one, too.
pub const CONNECTIONS_MAX: usize = 512;
/// How long a client may take nothing of its answer.
const STALLED: Duration = Duration::from_secs(60);

/// Lets in as many connections as there may be.
#[derive(Clone)]
pub struct Door(Arc<Semaphore>);

impl Default for Door {
    fn default() -> Door {
        Door(Arc::new(Semaphore::new(CONNECTIONS_MAX)))
    }
}

impl<S> Accept<TcpStream, S> for Door {
    type Stream = Connection;
    type Service = S;
    type Future = Ready<Result<(Connection, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let Ok(place) = self.0.clone().try_acquire_owned() else {
            return ready(Err(Error::new(ErrorKind::ConnectionRefused, "too many connections")));
        };
        // Answers are short and written whole: none has to wait for more.
        let opened = stream.set_nodelay(true);
        ready(opened.map(|()| (Connection { stream, stalled: None, _place: place }, service)))
    }
}

/// A connection that has been let in.
pub struct Connection {
    stream: TcpStream,
    /// Runs while the client takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    /// A write that has come to nothing so far ends with patience.
    fn bounded(&mut self, context: &mut Context<'_>, written: Poll<Result<usize>>) -> Poll<Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(STALLED)));
        some!(stalled.as_mut().poll(context));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.bounded(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.bounded(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn one_connection_too_many_is_let_in_when_another_has_ended() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let door = Door(Arc::new(Semaphore::new(1)));
        let mut clients = Vec::new();
        let mut come = async || {
            clients.push(TcpStream::connect(to).await.unwrap());
            door.accept(listener.accept().await.unwrap().0, ()).await
        };
        let first = come().await.unwrap();
        assert!(come().await.is_err());
        drop(first);
        assert!(come().await.is_ok());
    }
}
