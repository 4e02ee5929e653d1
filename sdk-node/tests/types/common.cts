// The same package for CommonJS.
import sdk = require("@fastn/sdk");

async function main(): Promise<void> {
  const client: sdk.FastnClient = sdk.createFastnClient();
  const execution: sdk.ExecutionView = await client.execution("exec_1");
  const error: unknown = new Error(execution.id);
  if (error instanceof sdk.NotFoundError) console.log(error.detail);
  await client.close();
}

void main();
