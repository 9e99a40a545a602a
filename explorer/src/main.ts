/** The page that `isthmus explore` and `isthmus fit --live` serve. */

import { ServerBackend } from "./backend/server.ts";
import { start } from "./shell.ts";

await start(() => new ServerBackend());
