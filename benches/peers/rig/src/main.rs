//! rig as a peer of the router bench: `peer-rig URL PROMPTS`, a provider's base address and a JSON array of texts.
//!
//! Writes `ready`, then for each line `CALLERS COUNT` of standard input lets that many callers make that many calls of Chat
//! Completions together, and writes the CPU time of one in microseconds. Nothing is chosen, counted or held: it posts, and reads the
//! reply. One thread calls, over rig's own shared HTTP client, set up as its author does.

use rig_core::completion::CompletionRequest;
use rig_core::providers::openai::OpenAIConfig;
use rustix::time::{ClockId, clock_gettime};
use std::error::Error;
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

type Failure = Box<dyn Error + Send + Sync>;

/// Most tokens of a reply.
const CAP: u64 = 256;

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let (url, prompts) = args.next().zip(args.next()).ok_or("peer-rig URL PROMPTS")?;
    let prompts: Vec<String> = serde_json::from_slice(&std::fs::read(prompts)?)?;
    let prompts: Arc<[String]> = prompts.into();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let model = Arc::new(OpenAIConfig::new("sk-bench-0123456789").with_base_url(url).client().chat("gpt-6.1-terra"));
    println!("ready");
    std::io::stdout().flush()?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (callers, count) = line.split_once(' ').ok_or("CALLERS COUNT")?;
        let (callers, count): (usize, usize) = (callers.parse()?, count.parse()?);
        let share = count / callers;
        let before = cpu();
        runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for caller in 0..callers {
                let (model, prompts) = (Arc::clone(&model), Arc::clone(&prompts));
                tasks.spawn(async move {
                    for at in caller * share..(caller + 1) * share {
                        let request = CompletionRequest::new(prompts[at % prompts.len()].as_str()).max_tokens(CAP);
                        let reply = model.call(request).await?;
                        reply.usage.input_tokens.ok_or("a reply without usage")?;
                    }
                    Ok::<_, Failure>(())
                });
            }
            while let Some(ended) = tasks.join_next().await {
                ended??;
            }
            Ok::<_, Failure>(())
        })?;
        let spent = (cpu() - before).as_secs_f64() * 1e6 / (share * callers) as f64;
        println!("{}", serde_json::json!([{ "name": "cpu", "value": spent, "unit": "us" }]));
        std::io::stdout().flush()?;
    }
    Ok(())
}
