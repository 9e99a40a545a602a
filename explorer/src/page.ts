/** The page that `isthmus explore --export` writes: one file that needs no server. */

import { PageBackend } from "./backend/page.ts";
import { start } from "./shell.ts";

await start(() => PageBackend.open());
