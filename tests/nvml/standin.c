/* A library that answers NVML calls from a text file, so that the real pynvml can be tested without a GPU.
 *
 * NVML_STANDIN names the file. It is read again on every call, so that a test can take a GPU away under a running program.
 *   gpus 8                 number of GPUs (default 0, at most 16)
 *   init 9                 what nvmlInit returns: 9 driver not loaded, 18 driver/library mismatch, 999 unknown error
 *   driver 580.95.05       cuda 13000
 *   gpu 3 lost 1           every call about GPU 3 answers 15 (GPU is lost)
 *   gpu 3 name NVIDIA L4   memory BYTES   pid 4242   mig 1
 *
 * Numbers and structures as in nvml.h of CUDA 12 (docs.nvidia.com/deploy/nvml-api, read 2026-11).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
enum { MOST = 16 };
enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7,
       DRIVER_NOT_LOADED = 9, GPU_IS_LOST = 15, LIB_RM_VERSION_MISMATCH = 18 };

struct card { char name[96]; unsigned long long memory; unsigned pid; int lost, mig; };
struct memory { unsigned long long total, free, used; };
struct process { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; };

static struct card cards[MOST];
static unsigned count;
static int init_answer, cuda, users;
static char driver[80];

static void reset(void)
{
    count = 0;
    init_answer = SUCCESS;
    cuda = 13000;
    strcpy(driver, "580.95.05");
    memset(cards, 0, sizeof cards);
    for (int i = 0; i < MOST; i++) {
        strcpy(cards[i].name, "NVIDIA H100 80GB HBM3");
        cards[i].memory = 85520809984ULL; /* what an H100 SXM reports */
    }
}

static void set_card(struct card *card, const char *key, const char *value)
{
    if (!strcmp(key, "name")) snprintf(card->name, sizeof card->name, "%s", value);
    else if (!strcmp(key, "memory")) card->memory = strtoull(value, NULL, 10);
    else if (!strcmp(key, "pid")) card->pid = (unsigned)strtoul(value, NULL, 10);
    else if (!strcmp(key, "lost")) card->lost = atoi(value);
    else if (!strcmp(key, "mig")) card->mig = atoi(value);
}

static void look(void)
{
    char line[256], key[32], value[96];
    unsigned index;
    const char *path = getenv("NVML_STANDIN");
    FILE *file = path ? fopen(path, "r") : NULL;
    reset();
    if (!file) return;
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "gpu %u %31s %95[^\n]", &index, key, value) == 3) {
            if (index < MOST) set_card(&cards[index], key, value);
        } else if (sscanf(line, "gpus %u", &count) == 1) {
            if (count > MOST) count = MOST;
        } else if (sscanf(line, "init %d", &init_answer) == 1) {
        } else if (sscanf(line, "cuda %d", &cuda) == 1) {
        } else sscanf(line, "driver %79s", driver);
    }
    fclose(file);
}

/* What a call about a device answers before its own work. */
static int check(const void *handle)
{
    const struct card *card = handle;
    if (users == 0) return UNINITIALIZED;
    look();
    if (card < cards || card >= cards + count) return INVALID_ARGUMENT;
    return card->lost ? GPU_IS_LOST : SUCCESS;
}

EXPORT int nvmlInitWithFlags(unsigned flags)
{
    (void)flags;
    look();
    if (init_answer == SUCCESS) users++;
    return init_answer;
}

EXPORT int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }

EXPORT int nvmlShutdown(void)
{
    if (users == 0) return UNINITIALIZED;
    users--;
    return SUCCESS;
}

EXPORT const char *nvmlErrorString(int code)
{
    switch (code) {
    case SUCCESS: return "Success";
    case UNINITIALIZED: return "Uninitialized";
    case INVALID_ARGUMENT: return "Invalid Argument";
    case NOT_SUPPORTED: return "Not Supported";
    case NOT_FOUND: return "Not Found";
    case INSUFFICIENT_SIZE: return "Insufficient Size";
    case DRIVER_NOT_LOADED: return "Driver Not Loaded";
    case GPU_IS_LOST: return "GPU is lost";
    case LIB_RM_VERSION_MISMATCH: return "Driver/library version mismatch";
    default: return "Unknown Error";
    }
}

EXPORT int nvmlSystemGetDriverVersion(char *text, unsigned size)
{
    if (users == 0) return UNINITIALIZED;
    look();
    snprintf(text, size, "%s", driver);
    return SUCCESS;
}

EXPORT int nvmlSystemGetCudaDriverVersion_v2(int *version)
{
    look();
    *version = cuda;
    return SUCCESS;
}

EXPORT int nvmlDeviceGetCount_v2(unsigned *number)
{
    if (users == 0) return UNINITIALIZED;
    look();
    *number = count;
    return SUCCESS;
}

EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle)
{
    if (index >= MOST) return INVALID_ARGUMENT;
    *handle = &cards[index];
    return check(*handle);
}

EXPORT int nvmlDeviceGetName(void *handle, char *text, unsigned size)
{
    int answer = check(handle);
    if (answer == SUCCESS) snprintf(text, size, "%s", ((struct card *)handle)->name);
    return answer;
}

EXPORT int nvmlDeviceGetUUID(void *handle, char *text, unsigned size)
{
    int answer = check(handle);
    if (answer == SUCCESS)
        snprintf(text, size, "GPU-%08x-0000-4000-8000-000000000000", (unsigned)((struct card *)handle - cards));
    return answer;
}

EXPORT int nvmlDeviceGetMemoryInfo(void *handle, struct memory *memory)
{
    int answer = check(handle);
    if (answer == SUCCESS) *memory = (struct memory){((struct card *)handle)->memory, ((struct card *)handle)->memory, 0};
    return answer;
}

EXPORT int nvmlDeviceGetMigMode(void *handle, unsigned *current, unsigned *pending)
{
    int answer = check(handle);
    if (answer == SUCCESS) *current = *pending = (unsigned)((struct card *)handle)->mig;
    return answer;
}

EXPORT int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *number, struct process *list)
{
    int answer = check(handle);
    const struct card *card = handle;
    unsigned room = *number;
    if (answer != SUCCESS) return answer;
    *number = card->pid ? 1 : 0;
    if (*number > room) return INSUFFICIENT_SIZE;
    if (*number) list[0] = (struct process){card->pid, 1 << 30, ~0u, ~0u};
    return SUCCESS;
}
