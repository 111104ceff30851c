/* A library that answers NVML calls from a text file, so that the real pynvml can be tested without a GPU.
 *
 * NVML_STANDIN names the file. It is read again on every call, so that a test can take a GPU away under a running program.
 *   gpus 8                 number of GPUs (default 0, at most 16)
 *   init 9                 what nvmlInit returns: 9 driver not loaded, 18 driver/library mismatch, 999 unknown error
 *   driver 580.95.05       cuda 13000
 *   gpu 3 lost 1           every call about GPU 3 answers 15 (GPU is lost)
 *   gpu 3 name NVIDIA L4   memory BYTES   pid 4242   mig 1   persistence 0   ecc 0   ecc_corrected 1   ecc_uncorrected 2
 *   gpu 3 remapped 1 2 1 0 (corrected, uncorrected, pending, failure)   reasons 8   temperature 91   memory_temperature 96
 *   gpu 3 links 0 (active ones of 18)   fabric 2 0 2 (state, status, health mask)
 *   gpu 3 xid 79           the next wait for events gets it, once for each number
 *
 * Numbers and structures as in nvml.h of CUDA 12 (docs.nvidia.com/deploy/nvml-api, read 2026-11).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
enum { MOST = 16 };
enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7,
       DRIVER_NOT_LOADED = 9, TIMEOUT = 10, GPU_IS_LOST = 15, LIB_RM_VERSION_MISMATCH = 18 };

struct card {
    char name[96];
    unsigned long long memory, ecc_corrected, ecc_uncorrected, reasons;
    unsigned pid, temperature, memory_temperature, links, xid, remapped[4], fabric[3];
    int lost, mig, persistence, ecc;
};
struct pci { char legacy[16]; unsigned domain, bus, device, id, subsystem; char address[32]; };
struct field { unsigned id, scope; long long time, latency; int type, answer; union { unsigned number; double real; } value; };
struct fabric { unsigned version; unsigned char cluster[16]; int status; unsigned clique; unsigned char state; unsigned health; };
struct event { void *device; unsigned long long type, data; unsigned gpu_instance, compute_instance; };
struct memory { unsigned long long total, free, used; };
struct process { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; };

static struct card cards[MOST];
static unsigned count;
static int init_answer, cuda, users;
static char driver[80];
static unsigned told[MOST];

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
        cards[i].persistence = cards[i].ecc = 1;
        cards[i].temperature = 35;
        cards[i].memory_temperature = 42;
        cards[i].links = 18;
        cards[i].fabric[0] = 3; /* completed */
    }
}

static void set_card(struct card *card, const char *key, const char *value)
{
    if (!strcmp(key, "name")) snprintf(card->name, sizeof card->name, "%s", value);
    else if (!strcmp(key, "memory")) card->memory = strtoull(value, NULL, 10);
    else if (!strcmp(key, "pid")) card->pid = (unsigned)strtoul(value, NULL, 10);
    else if (!strcmp(key, "lost")) card->lost = atoi(value);
    else if (!strcmp(key, "mig")) card->mig = atoi(value);
    else if (!strcmp(key, "persistence")) card->persistence = atoi(value);
    else if (!strcmp(key, "ecc")) card->ecc = atoi(value);
    else if (!strcmp(key, "ecc_corrected")) card->ecc_corrected = strtoull(value, NULL, 10);
    else if (!strcmp(key, "ecc_uncorrected")) card->ecc_uncorrected = strtoull(value, NULL, 10);
    else if (!strcmp(key, "reasons")) card->reasons = strtoull(value, NULL, 10);
    else if (!strcmp(key, "temperature")) card->temperature = (unsigned)strtoul(value, NULL, 10);
    else if (!strcmp(key, "memory_temperature")) card->memory_temperature = (unsigned)strtoul(value, NULL, 10);
    else if (!strcmp(key, "links")) card->links = (unsigned)strtoul(value, NULL, 10);
    else if (!strcmp(key, "xid")) card->xid = (unsigned)strtoul(value, NULL, 10);
    else if (!strcmp(key, "remapped"))
        sscanf(value, "%u %u %u %u", &card->remapped[0], &card->remapped[1], &card->remapped[2], &card->remapped[3]);
    else if (!strcmp(key, "fabric")) sscanf(value, "%u %u %u", &card->fabric[0], &card->fabric[1], &card->fabric[2]);
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
    case TIMEOUT: return "Timeout";
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

/* --- what a probe asks beside ----------------------------------------------------------------------------------------- */

#define ANSWER(field, value) \
    int answer = check(handle); \
    if (answer == SUCCESS) *(field) = ((struct card *)handle)->value; \
    return answer

EXPORT int nvmlDeviceGetPersistenceMode(void *handle, int *mode) { ANSWER(mode, persistence); }
EXPORT int nvmlDeviceGetCurrentClocksEventReasons(void *handle, unsigned long long *reasons) { ANSWER(reasons, reasons); }

EXPORT int nvmlDeviceGetTemperature(void *handle, int sensor, unsigned *degrees)
{
    (void)sensor;
    ANSWER(degrees, temperature);
}

EXPORT int nvmlDeviceGetTemperatureThreshold(void *handle, int kind, unsigned *degrees)
{
    static const unsigned limits[] = {92, 89, 95, 87}; /* shutdown, slowdown, memory, GPU; of an H100 SXM */
    int answer = check(handle);
    if (answer == SUCCESS && (kind < 0 || kind > 3)) return INVALID_ARGUMENT;
    if (answer == SUCCESS) *degrees = limits[kind];
    return answer;
}

EXPORT int nvmlDeviceGetPowerUsage(void *handle, unsigned *power)
{
    *power = 70000;
    return check(handle);
}

EXPORT int nvmlDeviceGetEnforcedPowerLimit(void *handle, unsigned *power)
{
    *power = 700000;
    return check(handle);
}

EXPORT int nvmlDeviceGetEccMode(void *handle, int *current, int *pending)
{
    int answer = check(handle);
    if (answer == SUCCESS) *current = *pending = ((struct card *)handle)->ecc;
    return answer;
}

EXPORT int nvmlDeviceGetTotalEccErrors(void *handle, int kind, int counter, unsigned long long *number)
{
    int answer = check(handle);
    const struct card *card = handle;
    (void)counter;
    if (answer == SUCCESS) *number = kind ? card->ecc_uncorrected : card->ecc_corrected;
    return answer;
}

EXPORT int nvmlDeviceGetRemappedRows(void *handle, unsigned *corrected, unsigned *uncorrected, unsigned *pending, unsigned *failure)
{
    int answer = check(handle);
    const struct card *card = handle;
    if (answer != SUCCESS) return answer;
    *corrected = card->remapped[0];
    *uncorrected = card->remapped[1];
    *pending = card->remapped[2];
    *failure = card->remapped[3];
    return SUCCESS;
}

EXPORT int nvmlDeviceGetPciInfo_v3(void *handle, struct pci *pci)
{
    /* The address of a GPU that fell off the bus is still known to the library. */
    unsigned bus = 0x10 + (unsigned)((struct card *)handle - cards);
    memset(pci, 0, sizeof *pci);
    pci->bus = bus;
    snprintf(pci->legacy, sizeof pci->legacy, "0000:%02X:00.0", bus & 0xff);
    snprintf(pci->address, sizeof pci->address, "00000000:%02X:00.0", bus & 0xff);
    return SUCCESS;
}

EXPORT int nvmlDeviceGetFieldValues(void *handle, int number, struct field *fields)
{
    int answer = check(handle);
    for (int i = 0; answer == SUCCESS && i < number; i++) {
        fields[i].answer = fields[i].id == 82 ? SUCCESS : NOT_SUPPORTED; /* memory temperature */
        fields[i].value.number = ((struct card *)handle)->memory_temperature;
    }
    return answer;
}

EXPORT int nvmlDeviceGetNvLinkState(void *handle, unsigned link, int *active)
{
    int answer = check(handle);
    if (answer == SUCCESS && link >= 18) return INVALID_ARGUMENT;
    if (answer == SUCCESS) *active = link < ((struct card *)handle)->links;
    return answer;
}

EXPORT int nvmlDeviceGetGpuFabricInfoV(void *handle, struct fabric *fabric)
{
    int answer = check(handle);
    const struct card *card = handle;
    if (answer != SUCCESS) return answer;
    fabric->state = (unsigned char)card->fabric[0];
    fabric->status = (int)card->fabric[1];
    fabric->health = card->fabric[2];
    return SUCCESS;
}

EXPORT int nvmlEventSetCreate(void **set)
{
    *set = malloc(1);
    return SUCCESS;
}

EXPORT int nvmlEventSetFree(void *set)
{
    free(set);
    return SUCCESS;
}

EXPORT int nvmlDeviceRegisterEvents(void *handle, unsigned long long kinds, void *set)
{
    (void)set;
    return kinds & 8 ? check(handle) : NOT_SUPPORTED;
}

EXPORT int nvmlEventSetWait_v2(void *set, struct event *event, unsigned milliseconds)
{
    (void)set;
    for (unsigned waited = 0;; waited += 10) {
        look();
        for (unsigned i = 0; i < count; i++)
            if (cards[i].xid && cards[i].xid != told[i]) {
                told[i] = cards[i].xid;
                *event = (struct event){&cards[i], 8, cards[i].xid, ~0u, ~0u};
                return SUCCESS;
            }
        if (waited >= milliseconds) return TIMEOUT;
        usleep(10000);
    }
}
