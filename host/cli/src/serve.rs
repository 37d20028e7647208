//! `countersign serve`: the HTTP API and the inbox, until a signal says to end.

use super::output::{self, Exit};
use super::{Session, print, say};
use clap::Args;
use countersign::clock::Clock;
use countersign::config::Config;
use countersign::engine::limits::Limits;
use countersign::host;
use countersign::printable::ascii;
use countersign::refusals::Result;
use countersign_serve::Options;
use std::net::SocketAddr;
use std::sync::Arc;

#[derive(Args)]
pub struct Serve {
    /// Address and port to listen on, in place of `serve.listen`; port 0 stands for any that is free
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Something in front of the server speaks TLS and says who is asking
    #[arg(long)]
    behind_proxy: bool,
}

/// Prints a line as a document of its own.
fn said(text: &str) {
    let said = output::Said { said: text.into() };
    let _ = print(&(ascii(&serde_json::to_string(&said).unwrap_or_default()) + "\n"));
}

impl Serve {
    pub async fn run(self, session: &Session) -> Result<Exit> {
        let data = session.data()?;
        let config = self.over(session.config(&data)?);
        let (cache, file) = (super::cache(&config), session.global.config.clone());
        let (clock, limits) = (Arc::new(Clock::system()), Limits::default());
        let folder = data.clone();
        let host = host::Options { data, config, clock, cache, limits, in_memory: false };
        let reload = Box::new(move || Ok(self.over(super::configured(file.as_deref(), &folder)?)));
        let is_json = session.global.json;
        let say = Box::new(move |text: &str| match is_json {
            true => said(text),
            false => say(text),
        });
        countersign_serve::serve(Options { host, reload, say }).await?;
        Ok(Exit::Done)
    }

    /// What the operator set, with what the command line says in its place.
    fn over(&self, mut config: Config) -> Config {
        config.serve.listen = self.listen.unwrap_or(config.serve.listen);
        config.serve.behind_proxy |= self.behind_proxy;
        config
    }
}
