/** What GitHub sends of an issue or a pull request, as far as this workflow reads it. */
interface Item {
  number: number;
  title: string;
  body: string | null;
  html_url: string;
  user: { login: string };
}

interface GitHubEvent {
  action: string;
  issue?: Item;
  pull_request?: Item & { draft: boolean; additions: number };
  repository: { full_name: string };
}

interface Triage {
  repository: string;
  number: number;
  title: string;
  author: string;
  url: string;
  kind: "bug" | "feature" | "review" | "question";
  urgent: boolean;
}

/** Pure: it is computed again for free whenever the execution is replayed. */
function classify(event: GitHubEvent): Triage {
  const item = event.pull_request ?? event.issue;
  if (!item) throw new NonRetryableError(`a ${event.action} event without issue or pull request`);
  const text = `${item.title} ${item.body ?? ""}`.toLowerCase();
  const kind = event.pull_request
    ? "review"
    : /\b(bug|error|crash|broken|spelling)\b/.test(text)
      ? "bug"
      : /\b(feature|support|add)\b/.test(text)
        ? "feature"
        : "question";
  return {
    repository: event.repository.full_name,
    number: item.number,
    title: item.title,
    author: item.user.login,
    url: item.html_url,
    kind,
    urgent: /\b(urgent|security|data loss)\b/.test(text),
  };
}

export default async function (ctx: WorkflowContext<GitHubEvent>) {
  const triage = await ctx.step("classify", () => classify(ctx.input));

  const board = await fastn.envConfig.get("TRIAGE_URL");
  const receipt = await ctx.step(
    "tell the board",
    async () => {
      const answer = await fetch(String(board), {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(triage),
      });
      if (!answer.ok) throw new RetryableError(`the board answered ${answer.status}`);
      return { status: answer.status };
    },
    { retry: { maxAttempts: 3, initialInterval: 1000 } },
  );

  const counted = await ctx.step("count", async () => {
    const count = Number((await fastn.state.get(`count/${triage.kind}`)) ?? 0) + 1;
    await fastn.state.set(`count/${triage.kind}`, count);
    return count;
  });

  fastn.log.info(`${triage.repository}#${triage.number} is a ${triage.kind}, number ${counted} of its kind`);
  return { triage, receipt, counted };
}
