//! `LiteLLM`'s proxy before the same mock: a server in Python, whose CPU time is read from outside.

use crate::mock::Mock;
use crate::ours::{Ours, call, client};
use anyhow::{Context, Result, bail};
use atlas_benches::cpu;
use atlas_benches::peer::of_python;
use atlas_router::client::LlmClient;
use atlas_router::client::http::Dialect;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So long it may take to come up.
const PATIENCE: Duration = Duration::from_mins(5);
/// Between two looks whether it is up.
const LOOK: Duration = Duration::from_millis(500);
/// The model's name there.
const MODEL: &str = "bench";

/// The proxy. Dropped, it ends.
pub(crate) struct Proxy {
    child: Child,
    client: Arc<dyn LlmClient>,
}

/// With what keeps it to the loopback interface: its own price file, and no word to anyone.
pub(crate) fn quiet(command: &mut Command) -> &mut Command {
    command.env("LITELLM_LOCAL_MODEL_COST_MAP", "True").env("LITELLM_TELEMETRY", "False").env("LITELLM_LOG", "ERROR")
}

impl Proxy {
    /// Starts it before the mock and waits until it answers; `None` if it was not installed.
    pub(crate) fn start(mock: &Mock, ours: &Ours, folder: &Path) -> Result<Option<Self>> {
        let Some(program) = of_python("litellm", "litellm") else { return Ok(None) };
        let random = RandomState::new();
        // It refuses keys that are short or easily guessed.
        let [a, b, c] = [0, 1, 2].map(|n| random.hash_one(n));
        let key = format!("sk-{a:016x}{b:016x}{c:016x}");
        let config = folder.join("proxy.yaml");
        std::fs::write(&config, settings(mock.url(), &key))?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let log = folder.join("proxy.log");
        let mut command = Command::new(program);
        command.arg("--config").arg(&config).args(["--host", "127.0.0.1", "--port", &port.to_string()]);
        command
            .args(["--telemetry", "False"])
            .stdout(File::create(&log)?)
            .stderr(File::options().append(true).open(&log)?);
        let child = quiet(&mut command).spawn().context("LiteLLM's proxy")?;
        let client = client(&format!("http://127.0.0.1:{port}/v1"), &key, Dialect::Compatible)?;
        let mut proxy = Self { child, client };
        let begun = Instant::now();
        while let Err(error) = ours.runtime.block_on(proxy.client.complete(&call(MODEL, "Are you there?"))) {
            let ended = proxy.child.try_wait()?;
            if ended.is_some() || begun.elapsed() > PATIENCE {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                let last: Vec<&str> = log.lines().rev().take(20).collect();
                let last = last.into_iter().rev().collect::<Vec<_>>().join("\n");
                bail!("LiteLLM's proxy does not answer: {error}, {ended:?}; its last words:\n{last}");
            }
            std::thread::sleep(LOOK);
        }
        Ok(Some(proxy))
    }

    /// Its CPU for a call, in us, asked by that many callers at once.
    pub(crate) fn posts(&self, ours: &Ours, count: usize, callers: usize) -> Result<f64> {
        let before = cpu::of_family(self.child.id())?;
        let client = Arc::clone(&self.client);
        ours.each(count, callers, move |prompt| {
            let client = Arc::clone(&client);
            async move {
                let reply = client.complete(&call(MODEL, &prompt)).await?;
                reply.usage.context("a reply without usage")?;
                Ok(())
            }
        })?;
        let spent = cpu::of_family(self.child.id())?.saturating_sub(before);
        Ok(cpu::per_job(spent, count / callers * callers))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // One that has ended can't be killed, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn settings(mock: &str, key: &str) -> String {
    format!(
        "model_list:
  - model_name: {MODEL}
    litellm_params:
      model: openai/gpt-4o-mini
      api_base: {mock}
      api_key: sk-bench-0123456789
general_settings:
  master_key: {key}
"
    )
}
