//! A synthetic PostgreSQL server, for faults and loads that a real one cannot give.
//!
//! It answers the simple and the extended protocol with what the test has scripted, and misbehaves
//! as told. It knows no SQL: a statement's text is looked up as a whole.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use crate::net::messages;

/// What a statement is answered with.
#[derive(Debug, Clone)]
pub enum Answer {
    /// So many rows of one column of so many bytes, then `SELECT n`.
    Rows {
        /// How many.
        count: usize,
        /// The size of the value in each.
        size: usize,
    },
    /// An ErrorResponse.
    Error {
        /// Its SQLSTATE.
        sqlstate: String,
        /// Its primary message.
        message: String,
    },
    /// A CommandComplete alone.
    Command {
        /// Its tag, such as `INSERT 0 3`.
        tag: String,
    },
}

/// How the server misbehaves, on every connection.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It sends this at once, before the client has said a word.
    SpeaksFirst(Vec<u8>),
    /// It reads on and never says anything.
    NeverAnswers,
    /// It waits so long before each piece of its answers of at most so many bytes.
    Slow {
        /// The wait before each piece.
        wait: Duration,
        /// The most bytes of a piece.
        piece: usize,
    },
    /// It ends the connection in good order after so many bytes of answers to statements.
    CutAfter(usize),
    /// It resets the connection after so many bytes of answers to statements.
    ResetAfter(usize),
    /// It sends this in the place of the first answer to a statement.
    Garbage(Vec<u8>),
}

#[derive(Debug, Default)]
struct Script {
    answers: HashMap<String, Answer>,
    fault: Option<Fault>,
}

/// What a server shall say, before it starts.
#[derive(Debug, Default)]
pub struct Builder(Script);

impl Builder {
    /// Answers this text, as a Query or a Parse gives it. Other texts get one row of one byte.
    pub fn answer(mut self, sql: &str, answer: Answer) -> Self {
        self.0.answers.insert(sql.to_owned(), answer);
        self
    }

    /// Misbehaves in this way.
    pub fn fault(mut self, fault: Fault) -> Self {
        self.0.fault = Some(fault);
        self
    }

    /// Listens on a free port of 127.0.0.1.
    #[track_caller]
    pub fn start(self) -> SyntheticServer {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a thread can be started");
        let listener = runtime
            .block_on(TcpListener::bind(("127.0.0.1", 0)))
            .expect("127.0.0.1 has free ports");
        let address = listener.local_addr().expect("it is bound");
        let script = Arc::new(self.0);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let script = Arc::clone(&script);
                // The client going away ends the conversation, and nobody need know.
                tokio::spawn(async move { Conversation::new(stream, script).hold().await });
            }
        });
        SyntheticServer {
            runtime: Some(runtime),
            address,
        }
    }
}

/// A running synthetic server. Dropping it ends all its connections.
#[derive(Debug)]
pub struct SyntheticServer {
    runtime: Option<Runtime>,
    address: SocketAddr,
}

impl SyntheticServer {
    /// A server that behaves and answers everything with one small row.
    #[track_caller]
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// A server with a script.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for SyntheticServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Why a conversation is over.
enum Over {
    /// The other side has gone, or said something that cannot be.
    Ended,
    /// The script says so.
    Reset,
}

impl From<std::io::Error> for Over {
    fn from(_: std::io::Error) -> Self {
        Self::Ended
    }
}

struct Conversation {
    stream: BufReader<TcpStream>,
    script: Arc<Script>,
    /// Statement texts by prepared name, and by portal.
    statements: HashMap<Vec<u8>, String>,
    portals: HashMap<Vec<u8>, String>,
    /// Bytes of answers to statements so far.
    answered: usize,
    /// An error of the extended protocol: skip to Sync.
    failed: bool,
}

impl Conversation {
    fn new(stream: TcpStream, script: Arc<Script>) -> Self {
        let stream = BufReader::with_capacity(1024, stream);
        let (statements, portals) = Default::default();
        Self {
            stream,
            script,
            statements,
            portals,
            answered: 0,
            failed: false,
        }
    }

    async fn hold(mut self) {
        if let Err(Over::Reset) = self.converse().await {
            let socket = self.stream.get_ref();
            let _ = rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO));
        }
    }

    async fn converse(&mut self) -> Result<(), Over> {
        let script = Arc::clone(&self.script);
        match &script.fault {
            Some(Fault::NeverAnswers) => loop {
                self.stream.read_u8().await?;
            },
            Some(Fault::SpeaksFirst(words)) => self.stream.write_all(words).await?,
            _ => {}
        }
        self.start_up().await?;
        loop {
            let tag = self.stream.read_u8().await?;
            let body = self.read_body().await?;
            if tag == b'X' {
                return Ok(());
            }
            self.answer(tag, &body).await?;
        }
    }

    async fn start_up(&mut self) -> Result<(), Over> {
        loop {
            let body = self.read_body().await?;
            let code = body.first_chunk().map(|code| u32::from_be_bytes(*code));
            match code.ok_or(Over::Ended)? {
                messages::SSL_REQUEST | messages::GSSENC_REQUEST => {
                    self.stream.write_all(b"N").await?;
                }
                messages::CANCEL_REQUEST => return Err(Over::Ended),
                _ => break,
            }
        }
        let greeting = [
            messages::authentication_ok(),
            messages::parameter_status("server_version", "18.0 (synthetic)"),
            messages::parameter_status("client_encoding", "UTF8"),
            messages::backend_key_data(1, &[0; 4]),
            messages::ready_for_query(b'I'),
        ];
        Ok(self.stream.write_all(&greeting.concat()).await?)
    }

    async fn read_body(&mut self) -> Result<Vec<u8>, Over> {
        let size = self
            .stream
            .read_u32()
            .await?
            .checked_sub(4)
            .ok_or(Over::Ended)?;
        let mut body = vec![0; size as usize];
        self.stream.read_exact(&mut body).await?;
        Ok(body)
    }

    async fn answer(&mut self, tag: u8, body: &[u8]) -> Result<(), Over> {
        let mut names = body.split(|byte| *byte == 0).map(<[u8]>::to_vec);
        let mut next = || names.next().unwrap_or_default();
        let answer = match tag {
            b'Q' => {
                let results = self.results(&String::from_utf8_lossy(&next()), true);
                [results, messages::ready_for_query(b'I')].concat()
            }
            b'S' => {
                self.failed = false;
                messages::ready_for_query(b'I')
            }
            _ if self.failed => Vec::new(),
            b'P' => {
                let name = next();
                self.statements
                    .insert(name, String::from_utf8_lossy(&next()).into_owned());
                messages::message(b'1', b"")
            }
            b'B' => {
                let portal = next();
                let sql = self.statements.get(&next()).cloned().unwrap_or_default();
                self.portals.insert(portal, sql);
                messages::message(b'2', b"")
            }
            b'D' => messages::row_description("value"),
            b'E' => {
                let sql = self.portals.get(&next()).cloned().unwrap_or_default();
                let results = self.results(&sql, false);
                self.failed = results.first() == Some(&b'E');
                results
            }
            b'C' => messages::message(b'3', b""),
            _ => Vec::new(),
        };
        self.say(&answer).await
    }

    fn results(&self, sql: &str, described: bool) -> Vec<u8> {
        const ONE_ROW: Answer = Answer::Rows { count: 1, size: 1 };
        match self.script.answers.get(sql).unwrap_or(&ONE_ROW) {
            Answer::Rows { count, size } => {
                let row = messages::data_row(&vec![b'x'; *size]);
                let head = if described {
                    messages::row_description("value")
                } else {
                    Vec::new()
                };
                let tag = messages::command_complete(&format!("SELECT {count}"));
                [head, row.repeat(*count), tag].concat()
            }
            Answer::Error { sqlstate, message } => {
                messages::error_response("ERROR", sqlstate, message)
            }
            Answer::Command { tag } => messages::command_complete(tag),
        }
    }

    /// Sends an answer, as well as the fault allows.
    async fn say(&mut self, answer: &[u8]) -> Result<(), Over> {
        let script = Arc::clone(&self.script);
        let before = self.answered;
        self.answered += answer.len();
        match &script.fault {
            Some(Fault::CutAfter(limit)) if self.answered > *limit => {
                self.stream.write_all(&answer[..limit - before]).await?;
                Err(Over::Ended)
            }
            Some(Fault::ResetAfter(limit)) if self.answered > *limit => {
                self.stream.write_all(&answer[..limit - before]).await?;
                Err(Over::Reset)
            }
            Some(Fault::Garbage(garbage)) if before == 0 => {
                Ok(self.stream.write_all(garbage).await?)
            }
            Some(Fault::Slow { wait, piece }) => {
                for piece in answer.chunks(*piece) {
                    tokio::time::sleep(*wait).await;
                    self.stream.write_all(piece).await?;
                    self.stream.flush().await?;
                }
                Ok(())
            }
            _ => Ok(self.stream.write_all(answer).await?),
        }
    }
}
