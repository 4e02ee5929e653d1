export default async (ctx: any) => ({ seen: ctx.input });
