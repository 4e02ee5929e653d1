// The same package for CommonJS: sends an event.
const { createFastnClient } = require("@fastn/sdk");

async function main() {
  const client = createFastnClient();
  await client.putCustomer({ id: "cus_acme", name: "Acme" });
  const { eventId } = await client.customer("cus_acme").send({ type: "user.signed_up", data: { email: "ada@example.com" } });
  console.log("sent", eventId);
  await client.close();
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
