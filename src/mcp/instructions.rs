//! What a client tells its model about this server, once per session.

/// Under 800 characters; Codex shows them as the description of the namespace.
pub(crate) const TEXT: &str = "\
owf runs workflows of AI agent calls: durable, resumable, cached, on any provider. Use it when a job needs many agents, or must survive a crash or the end of this conversation.
Loop: write a script, owf_validate_workflow (free), owf_dry_run (free, shows calls and cost), owf_run_workflow, owf_wait until it ends, owf_output.
A run belongs to the store, not to you: it goes on if you stop. owf_list_runs finds runs that others started; owf_resume continues one and never pays again for finished calls.
Without a configured provider the answers are FAKE (simulated: true): good for testing a script, never for reporting. Pass provider \"claude\" or \"codex\" for real work.
Every reply says what to call next. Approvals are for a person: quote the question, never decide on your own.";
