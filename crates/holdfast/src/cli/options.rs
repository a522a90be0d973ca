//! Which server, and with which token.

use super::client::Client;
use holdfast_terminal::{Code, Failure};
use std::path::{Path, PathBuf};

/// Where a server listens if nobody says.
pub const LISTEN: &str = "127.0.0.1:7766";
/// Where a server keeps everything if nobody says.
pub const DATA_DIR: &str = "/var/lib/holdfast";
/// Where the local cloud is, in the data directory.
pub const CLOUD_DIR: &str = "local";
/// The largest token file, in bytes.
const MAX_TOKEN: u64 = 1_024;

/// Which server, and with which token.
#[derive(Debug, Clone, clap::Args)]
pub struct ServerOptions {
    /// The server's address [env: HOLDFAST_SERVER] [default: http://127.0.0.1:7766]
    #[arg(long, global = true, value_name = "URL")]
    pub server: Option<String>,
    /// The file that holds the token; else the token is in HOLDFAST_TOKEN, else in the file
    /// "token" of the data directory
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The server's data directory, if it is on this host
    #[arg(long, global = true, value_name = "DIR", default_value = DATA_DIR)]
    pub data_dir: PathBuf,
}

impl ServerOptions {
    /// The client that these options mean.
    pub fn client(&self) -> Result<Client, Failure> {
        let server = self.server.clone().or_else(|| variable("HOLDFAST_SERVER"));
        let server = server.unwrap_or_else(|| format!("http://{LISTEN}"));
        Client::new(&server, &self.token()?)
    }

    fn token(&self) -> Result<String, Failure> {
        if let Some(path) = &self.token_file {
            return read_token(path, "see --token-file");
        }
        if let Some(token) = variable("HOLDFAST_TOKEN") {
            return Ok(token);
        }
        let path = self.data_dir.join(holdfast_api::TOKEN_FILE);
        let remedy = format!(
            "the server writes it at its first start (holdfast serve --data-dir {}); give \
             --token-file, --data-dir or HOLDFAST_TOKEN if it is elsewhere",
            self.data_dir.display()
        );
        read_token(&path, &remedy)
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn read_token(path: &Path, remedy: &str) -> Result<String, Failure> {
    let failed = |why: String| {
        let message = format!("the token file {}: {why}; {remedy}", path.display());
        Failure::new(Code::Unauthorized, message)
    };
    let length = std::fs::metadata(path).map_err(|e| failed(e.to_string()))?.len();
    if length > MAX_TOKEN {
        return Err(failed("is no token, it is too large".to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(|e| failed(e.to_string()))?;
    let token = text.trim();
    if token.is_empty() || token.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(failed("holds no token".to_owned()));
    }
    Ok(token.to_owned())
}
