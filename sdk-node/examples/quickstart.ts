// With types: editors show what everything is, and what the server answers is known.
import { createFastnClient, FastnError, type ExecutionView } from "@fastn/sdk";

interface Welcome {
  text: string;
}

/** Runs the workflow of quickstart.mjs. */
export async function welcome(name: string, signal?: AbortSignal): Promise<Welcome> {
  const client = createFastnClient({ timeout: 10_000 });
  try {
    const execution: ExecutionView = await client.customer("cus_acme").runAndWait("welcome", { name }, { signal });
    if (execution.status !== "completed") throw new Error(`${execution.id} is ${execution.status}: ${execution.error?.message}`);
    return execution.output as Welcome;
  } catch (error) {
    if (error instanceof FastnError && error.transient) console.warn(`try again in ${error.retryAfter ?? 1000} ms`);
    throw error;
  } finally {
    await client.close();
  }
}
