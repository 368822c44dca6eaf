// Makes the calls that the bench asks for, in a process of its own: fork()ed by node-load.ts, ends with it.
import type { LoadJob } from "./node-load-job.ts";
import { runLoad } from "./run-node-load.ts";

process.on("message", (job: LoadJob) => {
  runLoad(job).then(
    (result) => process.send?.({ result }),
    (error) => process.send?.({ error: String(error) }),
  );
});
process.on("disconnect", () => process.exit(0));
